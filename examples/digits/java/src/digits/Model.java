package digits;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/** Kernel ridge regression over the training scans, as {@code train.py} writes it into {@code digits.bin}. */
final class Model {
    static final int PIXELS = 64;
    static final int BLACK = 16;
    private static final int DIGITS = 10;
    private static final byte[] MAGIC = "DIGITS01".getBytes(StandardCharsets.US_ASCII);
    private static final int HEAD = 20; // bytes before the numbers

    private final double gamma;
    private final double sharpness;
    private final double[][] centres;
    private final double[][] weights;

    private Model(double gamma, double sharpness, double[][] centres, double[][] weights) {
        this.gamma = gamma;
        this.sharpness = sharpness;
        this.centres = centres;
        this.weights = weights;
    }

    static Model read(Path path) throws IOException {
        ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(path)).order(ByteOrder.LITTLE_ENDIAN);
        if (file.remaining() < HEAD || !file.slice().limit(MAGIC.length).equals(ByteBuffer.wrap(MAGIC))) {
            throw new IOException(path + " is no model of digits: write one with train.py");
        }
        file.position(MAGIC.length);
        int count = file.getInt();
        float gamma = file.getFloat();
        float sharpness = file.getFloat();
        if (count < 1 || file.remaining() != count * (PIXELS + DIGITS) * Float.BYTES) {
            throw new IOException(path + " is truncated: " + count + " scans, " + file.remaining() + " bytes");
        }
        return new Model(gamma, sharpness, rows(file, count, PIXELS), rows(file, count, DIGITS));
    }

    private static double[][] rows(ByteBuffer file, int count, int length) {
        double[][] rows = new double[count][length];
        for (double[] row : rows) {
            for (int i = 0; i < length; i++) {
                row[i] = file.getFloat();
            }
        }
        return rows;
    }

    /** The probability of each digit for a scan of 64 pixels, 0..16. */
    double[] probabilities(double[] scan) {
        double[] scores = new double[DIGITS];
        for (int one = 0; one < centres.length; one++) {
            double similarity = Math.exp(-gamma * distance(scan, centres[one]));
            for (int digit = 0; digit < DIGITS; digit++) {
                scores[digit] += similarity * weights[one][digit];
            }
        }
        double most = Arrays.stream(scores).max().getAsDouble();
        double[] raised = Arrays.stream(scores).map(score -> Math.exp(sharpness * (score - most))).toArray();
        double sum = Arrays.stream(raised).sum();
        return Arrays.stream(raised).map(one -> one / sum).toArray();
    }

    private static double distance(double[] scan, double[] centre) {
        double sum = 0;
        for (int i = 0; i < PIXELS; i++) {
            double apart = scan[i] / BLACK - centre[i];
            sum += apart * apart;
        }
        return sum;
    }
}
