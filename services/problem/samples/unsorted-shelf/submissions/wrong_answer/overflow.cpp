#include <bits/stdc++.h>
using namespace std;

// Counts in 32 bits.
int main() {
    long long n, s, p, q, m;
    cin >> n >> s >> p >> q >> m;
    vector<long long> a;
    for (int i = 0; i < n; i++) {
        a.push_back(s);
        s = (s * p + q) % m;
    }
    vector<long long> sorted = a;
    sort(sorted.begin(), sorted.end());
    vector<int> tree(n + 1);
    unsigned swaps = 0;
    for (int i = 0; i < n; i++) {
        int place = upper_bound(sorted.begin(), sorted.end(), a[i]) - sorted.begin();
        swaps += i;
        for (int j = place; j > 0; j &= j - 1) swaps -= tree[j];
        for (int j = place; j <= n; j += j & -j) tree[j]++;
    }
    cout << static_cast<int>(swaps) << endl;
}
