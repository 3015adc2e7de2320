import math

# Three digits are not enough.
points = [tuple(map(int, input().split())) for _ in range(int(input()))]
print("%.3f" % sum(math.dist(a, b) for a, b in zip(points, points[1:] + points[:1])))
