package digits;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The scans of a request: raw bytes, 64 a scan, or JSON: a list of 64 numbers, or a list of such lists.
 *
 * <p>JSON of numbers in lists is all that is read here, so that the example needs no library.
 */
final class Scans {
    private static final Pattern NUMBER = Pattern.compile("-?(0|[1-9]\\d*)(\\.\\d+)?([eE][+-]?\\d+)?");

    private final String text;
    private int at;

    private Scans(String text) {
        this.text = text;
    }

    /** The scans. Errors: IllegalArgumentException with what is wrong, for the caller. */
    static List<double[]> read(byte[] data) {
        if (data.length == 0) {
            throw new IllegalArgumentException(
                    "an empty request: send 64 pixels of 0..16 a scan, as JSON lists or as raw bytes");
        }
        // JSON can't look like raw pixels: its brackets and digits are characters above 16.
        return data.length % Model.PIXELS == 0 && isRaw(data) ? raw(data) : json(data);
    }

    private static boolean isRaw(byte[] data) {
        for (byte pixel : data) {
            if (pixel < 0 || pixel > Model.BLACK) {
                return false;
            }
        }
        return true;
    }

    private static List<double[]> raw(byte[] data) {
        List<double[]> scans = new ArrayList<>();
        for (int start = 0; start < data.length; start += Model.PIXELS) {
            double[] scan = new double[Model.PIXELS];
            for (int i = 0; i < Model.PIXELS; i++) {
                scan[i] = data[start + i];
            }
            scans.add(scan);
        }
        return scans;
    }

    private static List<double[]> json(byte[] data) {
        Scans reader = new Scans(new String(data, StandardCharsets.UTF_8));
        List<double[]> scans = reader.lists();
        reader.skip();
        if (reader.at < reader.text.length()) {
            throw reader.wrong("nothing more");
        }
        return scans;
    }

    private List<double[]> lists() {
        expect('[');
        skip();
        List<double[]> scans = new ArrayList<>();
        if (at < text.length() && text.charAt(at) != '[') {
            scans.add(pixels());
            return scans;
        }
        do {
            expect('[');
            scans.add(pixels());
        } while (another());
        return scans;
    }

    /** The numbers of a list whose bracket is read. */
    private double[] pixels() {
        List<Double> found = new ArrayList<>();
        do {
            found.add(number());
        } while (another());
        if (found.size() != Model.PIXELS) {
            throw new IllegalArgumentException("a scan has 64 pixels; this list has " + found.size());
        }
        return found.stream().mapToDouble(Double::doubleValue).toArray();
    }

    private double number() {
        skip();
        Matcher matcher = NUMBER.matcher(text).region(at, text.length());
        if (!matcher.lookingAt()) {
            throw wrong("a number");
        }
        at = matcher.end();
        double pixel = Double.parseDouble(matcher.group());
        if (pixel < 0 || pixel > Model.BLACK) {
            throw new IllegalArgumentException("pixels must be numbers of 0..16");
        }
        return pixel;
    }

    /** A comma, or else the closing bracket. */
    private boolean another() {
        skip();
        if (at < text.length() && text.charAt(at) == ',') {
            at++;
            return true;
        }
        expect(']');
        return false;
    }

    private void expect(char wanted) {
        skip();
        if (at >= text.length() || text.charAt(at) != wanted) {
            throw wrong("'" + wanted + "'");
        }
        at++;
    }

    private void skip() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
    }

    private IllegalArgumentException wrong(String wanted) {
        return new IllegalArgumentException("neither JSON lists of 64 numbers nor raw bytes of 0..16, 64 a scan: "
                + "expected " + wanted + " at character " + at);
    }
}
