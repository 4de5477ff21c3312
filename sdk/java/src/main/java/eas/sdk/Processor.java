package eas.sdk;

/**
 * A processor: answers requests.
 *
 * <p>Its life: the public constructor without arguments (once), {@link #initialize initialize} (once),
 * {@link #process process} (any number of times, from several threads at once), {@link #close close} (once, when
 * nothing runs any more; not after a crash, nor when {@code initialize} threw).
 *
 * <p>The constructor should be quick; load models in {@code initialize}.
 */
public interface Processor {

    /**
     * Gets ready to serve: loads the model, warms up.
     *
     * @param modelEntry absolute path of the model's main file, or of its directory with a trailing {@code /};
     *     empty when the service has no model ({@code model_path} and {@code model_entry} of service.json)
     * @param modelConfig the text of {@code model_config} of service.json, empty when there is none
     * @throws Exception whatever is thrown ends the start of the instance and is shown with its stack trace
     */
    default void initialize(String modelEntry, String modelConfig) throws Exception {}

    /**
     * Answers one request. Called from {@code rpc.worker_threads} threads (5 by default) at the same time.
     *
     * @param request the request; valid until this method returns
     * @return the answer; {@code null} counts as a failure
     * @throws Exception whatever is thrown becomes status 400 with its message; the stack trace goes to the log
     */
    Response process(Request request) throws Exception;

    /**
     * Gives back what {@code initialize} took. No call is running and none will come.
     *
     * @throws Exception whatever is thrown is logged, and the instance ends with exit status 1
     */
    default void close() throws Exception {}
}
