#ifndef LB_BASE_VERSION_H
#define LB_BASE_VERSION_H

#define LB_VERSION_STRING "0.1.0"

#endif
