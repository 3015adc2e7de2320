#include <bits/stdc++.h>
using namespace std;

vector<long long> a, spare;

long long sort_and_count(int from, int to) {
    if (to - from < 2) return 0;
    int middle = (from + to) / 2;
    long long swaps = sort_and_count(from, middle) + sort_and_count(middle, to);
    int left = from, right = middle;
    for (int i = from; i < to; i++) {
        if (right == to || (left < middle && a[left] <= a[right])) {
            spare[i] = a[left++];
        } else {
            swaps += middle - left;
            spare[i] = a[right++];
        }
    }
    copy(spare.begin() + from, spare.begin() + to, a.begin() + from);
    return swaps;
}

int main() {
    long long n, s, p, q, m;
    cin >> n >> s >> p >> q >> m;
    for (int i = 0; i < n; i++) {
        a.push_back(s);
        s = (s * p + q) % m;
    }
    spare = a;
    cout << sort_and_count(0, n) << endl;
}
