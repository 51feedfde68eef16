#include "support/status_name.h"

const char *status_name(lb_status code) {
    switch (code) {
    case LB_OK:
        return "ok";
    case LB_E_ARG:
        return "argument";
    case LB_E_CONFIG:
        return "config";
    case LB_E_IO:
        return "io";
    case LB_E_FORMAT:
        return "format";
    case LB_E_UNSUPPORTED:
        return "unsupported";
    case LB_E_NOMEM:
        return "nomem";
    case LB_E_NUMERIC:
        return "numeric";
    case LB_E_INTERRUPTED:
        return "interrupted";
    }
    return "unknown";
}
