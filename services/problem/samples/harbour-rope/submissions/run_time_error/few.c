#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Has room for a hundred buoys only, and says so by dying. */
int main(void) {
    int n;
    static double x[100], y[100];
    if (scanf("%d", &n) != 1 || n > 100) abort();
    for (int i = 0; i < n; i++)
        if (scanf("%lf %lf", &x[i], &y[i]) != 2) return 1;
    double length = 0;
    for (int i = 0; i < n; i++) length += hypot(x[i] - x[(i + 1) % n], y[i] - y[(i + 1) % n]);
    printf("%.9f\n", length);
    return 0;
}
