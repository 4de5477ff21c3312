package eas.sdk;

import java.util.Collections;
import java.util.List;

/** A processor that can answer several requests together; used so when {@code rpc.batching} is on. */
public interface BatchProcessor extends Processor {

    /**
     * Answers several requests. Called from several threads at the same time.
     *
     * @param requests 1 to {@code rpc.max_batch_size} requests, in the order in which they came; valid until this
     *     method returns
     * @return one answer per request, in the same order; one made by {@link Response#failed Response.failed} fails
     *     its request alone. A list of another length fails every request of the batch
     * @throws Exception whatever is thrown fails every request of the batch
     */
    List<Response> processBatch(List<Request> requests) throws Exception;

    /**
     * Answers one request as a batch of one.
     *
     * @param request the request
     * @return the only answer of the batch
     * @throws Exception what {@link #processBatch processBatch} throws; {@link IllegalStateException} when it didn't
     *     return one answer
     */
    @Override
    default Response process(Request request) throws Exception {
        List<Response> answers = processBatch(Collections.singletonList(request));
        if (answers == null || answers.size() != 1) {
            String found = answers == null ? "null" : answers.size() + " answers";
            throw new IllegalStateException("processBatch() returned " + found + " for 1 request");
        }
        return answers.get(0);
    }
}
