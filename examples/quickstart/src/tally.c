#include "tally.h"

#include <ctype.h>

void tally_add(struct tally *tally, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        tally->bytes++;
        if (c == '\n') {
            tally->lines++;
            tally->line = 0;
        } else if (++tally->line > tally->longest_line) {
            tally->longest_line = tally->line;
        }
        if (isspace(c)) {
            tally->in_word = 0;
        } else if (!tally->in_word) {
            tally->in_word = 1;
            tally->words++;
        }
    }
}
