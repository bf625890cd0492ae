import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.InputStreamReader;
import java.io.ObjectInputStream;
import java.util.HexFormat;

/** Reads a Java stream, in hex, from each line of standard input, and prints what Java makes of it. */
public class Read {
    public static void main(String[] words) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            byte[] stream = HexFormat.of().parseHex(line);
            try {
                System.out.println(new ObjectInputStream(new ByteArrayInputStream(stream)).readObject());
            } catch (Exception | LinkageError error) {
                System.out.println(error);
            }
        }
    }
}
