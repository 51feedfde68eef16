#include "result/choice.h"

#include <string.h>

#include "base/fs.h"

void lb_choice_add(lb_str *s, const char *key, const char *value) {
    static const char calibration[] = "calibration.", training[] = "training.";
    bool calibrated = strncmp(key, calibration, sizeof calibration - 1) == 0;
    bool trained = strncmp(key, training, sizeof training - 1) == 0;
    const char *k = calibrated ? key + sizeof calibration - 1 : trained ? key + sizeof training - 1 : key;
    if (k != key && strcmp(k, "text") == 0)
        lb_str_add(s, trained ? " trained on %s" : " on %s", lb_fs_basename(value));
    else if (strcmp(value, "true") == 0)
        lb_str_add(s, " %s", k);
    else if (strcmp(value, "false") == 0)
        lb_str_add(s, " no_%s", k);
    else if (strcmp(key, "seed") == 0) /* the cell's: a text's own is seed=1 */
        lb_str_add(s, " s%s", value);
    else
        lb_str_add(s, " %s=%s", k, value);
}
