// A backend in plain Java: an order is handled by a task, a moment later. Java 17 and nothing else: `java App.java`.

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.Base64;
import java.util.UUID;
import java.util.concurrent.Executors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public class App {
    static final String URL = System.getenv("TIMEBALL_URL");
    static final String KEY = System.getenv("TIMEBALL_KEY");
    static final byte[] SECRET =
            Base64.getDecoder().decode(System.getenv("TIMEBALL_SIGNING_SECRET").replaceFirst("^whsec_", ""));
    static final int PORT = Integer.parseInt(System.getenv().getOrDefault("PORT", "3000"));
    static final HttpClient HTTP = HttpClient.newHttpClient();

    public static void main(String[] words) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress("localhost", PORT), 0);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.createContext("/orders", App::order);
        server.createContext("/hook", App::hook);
        server.start();
    }

    static void order(HttpExchange exchange) throws IOException {
        String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        String task = "{\"request\": {\"url\": \"http://localhost:" + PORT + "/hook\", \"body\": " + quoted(body) + "}}";
        HttpRequest request = HttpRequest.newBuilder(URI.create(URL + "/v2/tasks"))
                .header("Authorization", "Bearer " + KEY)
                .header("Content-Type", "application/json")
                .header("Idempotency-Key", UUID.randomUUID().toString())
                .POST(HttpRequest.BodyPublishers.ofString(task))
                .build();
        try {
            HttpResponse<byte[]> answer = HTTP.send(request, HttpResponse.BodyHandlers.ofByteArray());
            reply(exchange, answer.statusCode(), answer.body());
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            reply(exchange, 503, new byte[0]);
        }
    }

    static void hook(HttpExchange exchange) throws IOException {
        byte[] body = exchange.getRequestBody().readAllBytes();
        if (!isOurs(exchange, body)) {
            reply(exchange, 401, new byte[0]);
            return;
        }
        System.out.println("handled " + new String(body, StandardCharsets.UTF_8));
        reply(exchange, 204, new byte[0]);
    }

    // Standard Webhooks: HMAC-SHA256 over id.timestamp.body, no older than five minutes.
    static boolean isOurs(HttpExchange exchange, byte[] body) {
        String id = exchange.getRequestHeaders().getFirst("webhook-id");
        String stamp = exchange.getRequestHeaders().getFirst("webhook-timestamp");
        String signatures = exchange.getRequestHeaders().getFirst("webhook-signature");
        if (id == null || stamp == null || signatures == null || !stamp.matches("[0-9]{1,12}")
                || Math.abs(Instant.now().getEpochSecond() - Long.parseLong(stamp)) > 300) {
            return false;
        }
        byte[] made;
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(SECRET, "HmacSHA256"));
            mac.update((id + "." + stamp + ".").getBytes(StandardCharsets.UTF_8));
            made = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes(StandardCharsets.UTF_8);
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException(error);
        }
        for (String sent : signatures.split(" ")) {
            if (MessageDigest.isEqual(made, sent.getBytes(StandardCharsets.UTF_8))) {
                return true;
            }
        }
        return false;
    }

    static void reply(HttpExchange exchange, int status, byte[] body) throws IOException {
        exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    static String quoted(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\' || c < ' ') {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        return out.append('"').toString();
    }
}
