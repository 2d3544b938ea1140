/* Counting what is in a text. Pure: no input, no output, no memory of its own. */
#ifndef TALLY_H
#define TALLY_H

#include <stddef.h>

struct tally {
    size_t lines; /* newline characters */
    size_t words; /* runs of anything but white space */
    size_t bytes;
    size_t longest_line; /* in bytes, without its newline */
    /* Between two calls: */
    size_t line;
    int in_word;
};

/* Adds a piece of text to a tally that began as all zero. A text may come in pieces, cut anywhere. */
void tally_add(struct tally *tally, const char *text, size_t length);

#endif
