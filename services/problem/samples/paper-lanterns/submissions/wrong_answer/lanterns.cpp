#include <bits/stdc++.h>
using namespace std;

// Asks whether the number of lanterns is even, not of colours.
int main() {
    int n;
    cin >> n;
    vector<string> order;
    map<string, int> count;
    for (int i = 0; i < n; i++) {
        string colour;
        cin >> colour;
        if (count[colour]++ == 0) order.push_back(colour);
    }
    for (auto& colour : order) cout << colour << ' ' << count[colour] << '\n';
    cout << (n % 2 ? "odd" : "even") << endl;
}
