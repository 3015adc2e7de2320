def main():
    n, s, p, q, m = map(int, input().split())
    books = []
    for _ in range(n):
        books.append(s)
        s = (s * p + q) % m
    place = {value: i + 1 for i, value in enumerate(sorted(set(books)))}
    size = len(place) + 1
    tree = [0] * size
    swaps = 0
    for i, book in enumerate(books):
        k = place[book]
        j = k
        while j:
            swaps -= tree[j]
            j &= j - 1
        swaps += i
        while k < size:
            tree[k] += 1
            k += k & -k
    print(swaps)


main()
