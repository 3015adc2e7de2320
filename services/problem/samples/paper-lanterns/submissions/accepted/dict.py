n = int(input())
count = {}
for _ in range(n):
    colour = input()
    count[colour] = count.get(colour, 0) + 1
for colour, times in count.items():
    print(colour.upper(), times)
print("odd" if len(count) % 2 else "even")
