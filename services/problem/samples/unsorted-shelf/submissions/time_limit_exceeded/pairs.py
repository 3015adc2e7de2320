n, s, p, q, m = map(int, input().split())
books = []
for _ in range(n):
    books.append(s)
    s = (s * p + q) % m
# Looks at every pair.
print(sum(books[i] > books[j] for j in range(n) for i in range(j)))
