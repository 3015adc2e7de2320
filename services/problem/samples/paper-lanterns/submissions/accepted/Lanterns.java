import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Scanner;

public class Lanterns {
    public static void main(String[] args) {
        Scanner in = new Scanner(System.in);
        int n = in.nextInt();
        Map<String, Integer> count = new LinkedHashMap<>();
        for (int i = 0; i < n; i++) {
            count.merge(in.next(), 1, Integer::sum);
        }
        StringBuilder out = new StringBuilder();
        count.forEach((colour, times) -> out.append(colour).append(' ').append(times).append('\n'));
        out.append(count.size() % 2 == 0 ? "even" : "odd");
        System.out.println(out);
    }
}
