import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.HexFormat;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Fetch URL AUTHORITY: java.net.http as it comes; prints the version that was spoken and the SHA-256 of the body. */
public final class Fetch {
    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newBuilder().sslContext(trusting(arguments[1])).connectTimeout(Duration.ofSeconds(10)).build();
        HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0])).timeout(Duration.ofSeconds(10)).build();
        // the first exchange of a virtual machine loads its classes: a refusal is looked at again
        int code = fetch(client, request);
        System.exit(code == 0 ? 0 : fetch(client, request));
    }

    private static int fetch(HttpClient client, HttpRequest request) throws Exception {
        long begin = System.nanoTime();
        String words = "";
        try {
            var answer = client.send(request, BodyHandlers.ofByteArray());
            if (answer.statusCode() == 200) {
                byte[] sum = MessageDigest.getInstance("SHA-256").digest(answer.body());
                System.out.println(answer.version() + " " + HexFormat.of().formatHex(sum));
                return 0;
            }
            words = answer.statusCode() + " " + new String(answer.body()).trim();
        } catch (IOException error) {
            words = error.getCause() == null ? error.toString() : error + ": " + root(error);
        } finally {
            System.err.printf(words.isEmpty() ? "" : "%s%ntook %f%n", words, (System.nanoTime() - begin) / 1e9);
        }
        return 1;
    }

    /** What an error goes back to: that a name is not resolved is said there alone. */
    private static Throwable root(Throwable error) {
        return error.getCause() == null ? error : root(error.getCause());
    }

    private static SSLContext trusting(String file) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (InputStream in = Files.newInputStream(Path.of(file))) {
            store.setCertificateEntry("authority", CertificateFactory.getInstance("X.509").generateCertificate(in));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }
}
