/* The conversions live in base/, because io/ reads and writes halves too and does not depend on math/. */
#ifndef LB_MATH_HALF_H
#define LB_MATH_HALF_H

#include "base/half.h"

#endif
