#include "integers.h"

int main() {
    long long n = integer(2, 500, '\n');
    while (n-- > 0) {
        integer(-1000000, 1000000, ' ');
        integer(-1000000, 1000000, '\n');
    }
    if (std::getchar() != EOF) refuse("there is more than n buoys");
    return 42;
}
