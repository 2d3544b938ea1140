/* tally: counts the lines, words and bytes of standard input, and its longest line. */
#include "tally.h"
#include "version.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("tally %s\n", TALLY_VERSION);
        return 0;
    }
    if (argc != 1) {
        fprintf(stderr, "usage: tally [--version] < TEXT\n");
        return 2;
    }

    struct tally tally = {0};
    char buffer[4096];
    size_t length;
    while ((length = fread(buffer, 1, sizeof buffer, stdin)) > 0)
        tally_add(&tally, buffer, length);
    if (ferror(stdin)) {
        perror("tally: standard input");
        return 1;
    }
    printf("lines         %zu\nwords         %zu\nbytes         %zu\nlongest line  %zu\n",
           tally.lines, tally.words, tally.bytes, tally.longest_line);
    return 0;
}
