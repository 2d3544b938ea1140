#include "tally.h"

#include <stdio.h>
#include <string.h>

struct expected {
    size_t lines, words, bytes, longest_line;
};

static int failures = 0;

/* Counts `text` whole, and then cut in two at every place: the result must be the same. */
static void check(const char *name, const char *text, struct expected want)
{
    size_t length = strlen(text);
    for (size_t cut = 0; cut <= length; cut++) {
        struct tally got = {0};
        tally_add(&got, text, cut);
        tally_add(&got, text + cut, length - cut);
        if (got.lines != want.lines || got.words != want.words || got.bytes != want.bytes ||
            got.longest_line != want.longest_line) {
            printf("not ok - %s (cut at %zu): lines %zu, words %zu, bytes %zu, longest line %zu\n", name, cut,
                   got.lines, got.words, got.bytes, got.longest_line);
            failures++;
            return;
        }
    }
    printf("ok - %s\n", name);
}

int main(void)
{
    check("nothing", "", (struct expected){0, 0, 0, 0});
    check("one word", "word", (struct expected){0, 1, 4, 4});
    check("a line", "two words\n", (struct expected){1, 2, 10, 9});
    check("white space is no word", " \t\n \n", (struct expected){2, 0, 5, 2});
    check("the longest line is not the last", "a\nlong line\nb\n", (struct expected){3, 4, 14, 9});
    check("a last line without its newline", "a\nbcd", (struct expected){1, 2, 5, 3});
    check("bytes over 127", "\xc3\xa4 \xc3\xb6\n", (struct expected){1, 2, 6, 5});
    if (failures > 0)
        printf("%d failed\n", failures);
    return failures > 0;
}
