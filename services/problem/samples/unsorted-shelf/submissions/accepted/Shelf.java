import java.util.Arrays;
import java.util.Scanner;

public class Shelf {
    public static void main(String[] args) {
        Scanner in = new Scanner(System.in);
        int n = in.nextInt();
        long s = in.nextLong(), p = in.nextLong(), q = in.nextLong(), m = in.nextLong();
        long[] books = new long[n];
        for (int i = 0; i < n; i++) {
            books[i] = s;
            s = (s * p + q) % m;
        }
        long[] sorted = books.clone();
        Arrays.sort(sorted);
        int[] tree = new int[n + 1];
        long swaps = 0;
        for (int i = 0; i < n; i++) {
            // The last place of the number, so that equal ones count as in order.
            int place = upper(sorted, books[i]);
            swaps += i;
            for (int j = place; j > 0; j &= j - 1) swaps -= tree[j];
            for (int j = place; j <= n; j += j & -j) tree[j]++;
        }
        System.out.println(swaps);
    }

    static int upper(long[] sorted, long value) {
        int low = 0, high = sorted.length;
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (sorted[middle] <= value) low = middle + 1;
            else high = middle;
        }
        return low;
    }
}
