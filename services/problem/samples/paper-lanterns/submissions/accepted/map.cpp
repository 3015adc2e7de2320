#include <bits/stdc++.h>
using namespace std;

int main() {
    int n;
    cin >> n;
    vector<string> order;
    unordered_map<string, int> count;
    for (int i = 0; i < n; i++) {
        string colour;
        cin >> colour;
        if (count[colour]++ == 0) order.push_back(colour);
    }
    for (auto& colour : order) cout << colour << ' ' << count[colour] << '\n';
    cout << (order.size() % 2 ? "odd" : "even") << endl;
}
