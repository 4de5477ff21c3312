package digits;

import java.io.IOException;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Paths;
import java.util.List;
import java.util.StringJoiner;

/**
 * The digits service as {@code app.py} beside it, as a plain class of the kind that EAS has always known; it answers
 * the same to the last character.
 */
public class DigitsProcessor {
    private final String modelEntry;
    private Model model;

    /** Called once; quick. */
    public DigitsProcessor(String modelEntry, String modelConfig) {
        this.modelEntry = modelEntry;
    }

    /** Loads the model, once, before the first request. */
    public void Load() throws IOException {
        model = Model.read(Paths.get(modelEntry));
    }

    /** Classifies; called by several threads at once. What it throws is a 400 with the message. */
    public byte[] Process(byte[] data) {
        List<double[]> scans = Scans.read(data);
        StringJoiner answers = new StringJoiner(", ", "[", "]");
        for (double[] scan : scans) {
            answers.add(answer(model.probabilities(scan)));
        }
        return answers.toString().getBytes(StandardCharsets.UTF_8);
    }

    private static String answer(double[] probabilities) {
        int best = 0;
        for (int digit = 1; digit < probabilities.length; digit++) {
            best = probabilities[digit] > probabilities[best] ? digit : best;
        }
        return "{\"digit\": " + best + ", \"probability\": " + rounded(probabilities[best]) + "}";
    }

    /** Four decimals, without zeros at the end but for the first. */
    private static String rounded(double probability) {
        String text = new BigDecimal(probability).setScale(4, RoundingMode.HALF_EVEN).toPlainString();
        return text.replaceFirst("0{1,3}$", "");
    }
}
