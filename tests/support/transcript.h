/* Transcripts of the command line: files of commands with everything that a user reads on the screen. */
#ifndef TESTS_SUPPORT_TRANSCRIPT_H
#define TESTS_SUPPORT_TRANSCRIPT_H

/* A fresh folder for the commands that follow: m/ (a Llama of 2 blocks, 32 wide, 300 tokens, context 64, with its
 * tokenizer), calibration.txt and eval.txt (heads of the built-in texts), configs/sources.yaml with a model and a text
 * that were never fetched. `lowbit` is on the path, $FIXTURES is tests/oracle/fixtures; the plain kernels and one BLAS
 * core are forced, so that machines of a kind print the same. */
const char *transcript_workshop(void);

/* What became of a shell command; free with shell_free. */
typedef struct shell_result {
    int code; /* exit status, or 128 + signal */
    char *out, *err;
} shell_result;
shell_result shell_run(const char *command); /* `exec lowbit ...`: the status is lowbit's own */
void shell_free(shell_result *r);

/* tests/cli/expected/NAME.txt: lines "$ COMMAND", then what it wrote to standard output ("| ..."), to standard error
 * ("! ...") and its exit status if that is not 0 ("= 2"); "# ..." and empty lines are for readers. Runs the commands
 * again, one after another in the workshop, and fails at the first line that differs. Numbers with two decimals or more
 * may differ by one in their last place. With LOWBIT_UPDATE=1 the file is written anew: a new command is added as its
 * "$" line. What a run cannot repeat is shown as a word: folders (WORK, ROOT), durations (TIME), the hash at the end
 * of a result's file name (KEY), the hash of a result with its times (HASH), speeds (SPEED), memory that was held
 * (BYTES). */
void transcript_replay(const char *name);

#endif
