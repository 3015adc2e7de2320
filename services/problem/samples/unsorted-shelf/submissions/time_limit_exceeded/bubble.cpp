#include <bits/stdc++.h>
using namespace std;

// Does what the librarian does.
int main() {
    long long n, s, p, q, m, swaps = 0;
    cin >> n >> s >> p >> q >> m;
    vector<long long> a;
    for (int i = 0; i < n; i++) {
        a.push_back(s);
        s = (s * p + q) % m;
    }
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i + 1 < a.size(); i++) {
            if (a[i] > a[i + 1]) {
                swap(a[i], a[i + 1]);
                swaps++;
                again = true;
            }
        }
    }
    cout << swaps << endl;
}
