/* A status in a failure's message. */
#ifndef LB_TESTS_STATUS_NAME_H
#define LB_TESTS_STATUS_NAME_H

#include "base/status.h"

const char *status_name(lb_status code);

#endif
