package eas.host;

/** The processor can't serve; the message is one line for a person. */
public final class Unusable extends Exception {
    private static final long serialVersionUID = 1L;

    Unusable(String message) {
        super(message);
    }
}
