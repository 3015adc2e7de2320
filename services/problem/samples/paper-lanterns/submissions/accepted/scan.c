#include <stdio.h>
#include <string.h>

static char colours[1000][21];
static int counts[1000];

int main(void) {
    int n, found = 0;
    if (scanf("%d", &n) != 1) return 1;
    while (n--) {
        char word[21];
        if (scanf("%20s", word) != 1) return 1;
        int i = 0;
        while (i < found && strcmp(colours[i], word) != 0) i++;
        if (i == found) strcpy(colours[found++], word);
        counts[i]++;
    }
    for (int i = 0; i < found; i++) printf("%s %d\n", colours[i], counts[i]);
    puts(found % 2 ? "odd" : "even");
    return 0;
}
