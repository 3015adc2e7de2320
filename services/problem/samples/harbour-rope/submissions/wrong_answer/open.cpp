#include <bits/stdc++.h>
using namespace std;

// Forgets the way back to the first buoy.
int main() {
    int n;
    cin >> n;
    vector<double> x(n), y(n);
    for (int i = 0; i < n; i++) cin >> x[i] >> y[i];
    double length = 0;
    for (int i = 0; i + 1 < n; i++) length += hypot(x[i] - x[i + 1], y[i] - y[i + 1]);
    printf("%.8f\n", length);
}
