// The other end of connections under TLS, as Java has it, with keytool in the same process. Run by the tests:
// java --add-exports java.base/sun.security.tools.keytool=ALL-UNNAMED Peer.java
//
// Each line of the standard input is one command. Each command prints one line that begins with "= ".
//
// keytool ARGS...                               runs keytool
// dial PORT KEYSTORE TRUSTSTORE VERSION HEX     connects, writes HEX, prints the version of TLS and the next twelve bytes
// listen KEYSTORE TRUSTSTORE VERSION COUNT      accepts connections, and prints the port
// accepted                                      prints the version of TLS and the first COUNT bytes of the last listener's next connection
//
// With "-" as its KEYSTORE, "dial" presents no certificate. With "?" before its KEYSTORE, "listen" demands none.

import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStreamReader;
import java.security.KeyStore;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

public class Peer {
    private static final char[] PASSWORD = "cassandra".toCharArray();

    public static void main(String[] args) throws Exception {
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        BlockingQueue<String> accepted = null;
        String line;
        while ((line = commands.readLine()) != null) {
            String[] words = line.split(" ");
            switch (words[0]) {
                case "keytool" -> {
                    sun.security.tools.keytool.Main.main(Arrays.copyOfRange(words, 1, words.length));
                    print("done");
                }
                case "dial" -> print(dial(words));
                case "listen" -> {
                    boolean demands = !words[1].startsWith("?");
                    String keys = demands ? words[1] : words[1].substring(1);
                    SSLServerSocket server =
                        (SSLServerSocket) context(keys, words[2]).getServerSocketFactory().createServerSocket(0);
                    server.setEnabledProtocols(new String[] {words[3]});
                    server.setNeedClientAuth(demands);
                    int count = Integer.parseInt(words[4]);
                    BlockingQueue<String> queue = new LinkedBlockingQueue<>();
                    accepted = queue;
                    Thread thread = new Thread(() -> accept(server, count, queue));
                    thread.setDaemon(true);
                    thread.start();
                    print("" + server.getLocalPort());
                }
                case "accepted" -> print(accepted.poll(60, TimeUnit.SECONDS));
                default -> throw new IllegalArgumentException(line);
            }
        }
        System.exit(0);
    }

    private static void print(String line) {
        System.out.println("= " + line);
    }

    private static String dial(String[] words) throws Exception {
        SSLContext context = context(words[2], words[3]);
        int port = Integer.parseInt(words[1]);
        try (SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket("127.0.0.1", port)) {
            socket.setEnabledProtocols(new String[] {words[4]});
            socket.getOutputStream().write(HexFormat.of().parseHex(words[5]));
            return read(socket, 12);
        } catch (Exception error) {
            return "failed: " + error;
        }
    }

    private static void accept(SSLServerSocket server, int count, BlockingQueue<String> queue) {
        while (true) {
            try (SSLSocket socket = (SSLSocket) server.accept()) {
                queue.add(read(socket, count));
            } catch (Exception error) {
                queue.add("failed: " + error);
            }
        }
    }

    private static String read(SSLSocket socket, int count) throws Exception {
        byte[] bytes = socket.getInputStream().readNBytes(count);
        return socket.getSession().getProtocol() + " " + HexFormat.of().formatHex(bytes);
    }

    private static SSLContext context(String keys, String trusted) throws Exception {
        KeyManager[] own = null;
        if (!keys.equals("-")) {
            KeyManagerFactory factory = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
            factory.init(store(keys), PASSWORD);
            own = factory.getKeyManagers();
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store(trusted));
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(own, trust.getTrustManagers(), null);
        return context;
    }

    private static KeyStore store(String path) throws Exception {
        try (FileInputStream file = new FileInputStream(path)) {
            KeyStore store = KeyStore.getInstance("PKCS12");
            store.load(file, PASSWORD);
            return store;
        }
    }
}
