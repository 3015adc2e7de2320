import java.util.Scanner;

public class Main {
    public static void main(String[] args) {
        Scanner in = new Scanner(System.in);
        int n = in.nextInt();
        double[] x = new double[n], y = new double[n];
        for (int i = 0; i < n; i++) {
            x[i] = in.nextInt();
            y[i] = in.nextInt();
        }
        double length = 0;
        for (int i = 0; i < n; i++) {
            int j = (i + 1) % n;
            length += Math.hypot(x[i] - x[j], y[i] - y[j]);
        }
        System.out.println(length);
    }
}
