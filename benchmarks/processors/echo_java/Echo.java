/** Answers with the request's own body, as benchmarks/processors/echo does in Python. */
public class Echo {
    public Echo(String modelEntry, String modelConfig) {}

    public void Load() {}

    public byte[] Process(byte[] data) {
        return data;
    }
}
