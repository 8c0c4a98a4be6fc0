using System.Net;
using Berth.Api.Nodes;
using Berth.Core.Callbacks;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Store.Postgres;

namespace Berth.Server.Configuration;

/// <summary>
/// The one table of everything the operator can decide. The command line, the reader, the checks and
/// docs/reference/configuration.md are all made from it.
/// </summary>
public static class ConfigurationKeys
{
    private static readonly TimeSpan Day = TimeSpan.FromDays(1);

    public static IReadOnlyList<ConfigurationKey> All { get; } =
        [.. Place(), .. Names(), .. Runs(), .. Containers(), .. Limits(), .. Keeping(), .. Operation()];

    private static IEnumerable<ConfigurationKey> Place() =>
    [
        KeyOf.Text("data", "/var/lib/berth",
            "Folder for everything that must outlast a restart. One server at a time may use it.",
            (o, v) => o with { DataFolder = v }, ValueKind.Path),
        new("store", ValueKind.Text, "",
            "PostgreSQL database for the records of one or several servers. Empty: a file of SQLite in the data "
            + "folder. What is on the command line other users of the machine can read: give a password by "
            + "BERTH_STORE, the configuration file or store-password-file.")
        {
            Expected = "an address such as postgres://USER:PASSWORD@HOST/DATABASE",
            IsSecret = true,
            Apply = (o, texts) => texts[0].Length == 0 ? o with { Store = null }
                : PostgresAddress.TryParse(texts[0], out PostgresAddress? address, out string? problem)
                    ? o with { Store = address }
                    : throw new BerthException(
                        ErrorCode.InvalidConfiguration, $"The setting store can't be used: {problem}."),
        },
        KeyOf.Text("store-password-file", "",
            "File with the password of the database in store, read again when that refuses it. Empty: the one in store "
            + "itself.",
            (o, v) => o with { StorePasswordFile = v.Length == 0 ? null : v }, ValueKind.Path),
        new("listen", ValueKind.Address, "127.0.0.1:7070",
            "Addresses to listen on. Anything but loopback should have a TLS certificate, here or in a proxy in front.",
            IsList: true)
        {
            Expected = "an address and port such as 127.0.0.1:7070, [::1]:7070 or *:7070",
            Apply = (o, texts) => ParseAddresses(texts) is { } addresses ? o with { Listen = addresses } : null,
        },
        KeyOf.Text("tls-certificate", "", "PEM file with the certificate and its chain. Empty: plain HTTP.",
            (o, v) => o with { TlsCertificate = v.Length == 0 ? null : v }, ValueKind.Path),
        KeyOf.Text("tls-key", "", "PEM file with the certificate's private key.",
            (o, v) => o with { TlsKey = v.Length == 0 ? null : v }, ValueKind.Path),
        new("trusted-proxy", ValueKind.Text, "",
            "Addresses or networks of proxies in front that are believed when they say whom a request came from, by "
            + "which scheme and host (X-Forwarded-For, -Proto, -Host, the scheme of HTTP/2). What others say of it, "
            + "programs are not told. Empty: nobody.",
            IsList: true)
        {
            Expected = "addresses or networks such as 10.0.0.0/8",
            Apply = (o, texts) => ParseNetworks(texts) is { } networks ? o with { TrustedProxies = networks } : null,
        },
    ];

    private static IEnumerable<ConfigurationKey> Names() =>
    [
        new("host-names", ValueKind.Text, "",
            "Names by which this server itself is reached. They are never a function's, also below function-domain, "
            + "which can't be given without them. Empty: it knows none.",
            IsList: true)
        {
            Expected = "names such as berth.example.org",
            Apply = (o, texts) => texts.All(t => Core.Functions.HostName.IsValid(t.ToLowerInvariant()))
                ? o with { HostNames = [.. texts.Select(t => t.ToLowerInvariant())] }
                : null,
        },
        new("function-domain", ValueKind.Text, "",
            "Domain below which each function has a host name, NAME.DOMAIN, and each revision REVISION--NAME.DOMAIN; "
            + "but for the names in host-names. Empty: none.")
        {
            Expected = "a domain such as fn.example.org",
            Apply = (o, texts) => texts[0].ToLowerInvariant() is var domain && domain.Length == 0
                ? o with { FunctionDomain = null }
                : Core.Functions.HostName.IsValid(domain) ? o with { FunctionDomain = domain } : null,
        },
        KeyOf.Text("node-name", "", "Name of this machine in run records. Empty: the host name.",
            (o, v) => o with { NodeName = v.Length == 0 ? HostName : v }),
        new("node-listen", ValueKind.Address, "",
            "Addresses that machines which run work for this server dial, with TLS and certificates of their own. "
            + "Empty: only this machine runs work.",
            IsList: true)
        {
            Expected = "an address and port such as *:7071",
            Apply = (o, texts) => texts.Count == 0 ? o with { NodeListen = [] }
                : ParseAddresses(texts) is { } addresses ? o with { NodeListen = addresses } : null,
        },
        new("advertise", ValueKind.Text, "",
            "Address under which other servers of the same store, and nodes, reach node-listen. Empty: the first of "
            + "node-listen; the host name where that is *.")
        {
            Expected = "an address such as https://one.berth.example:7071",
            Apply = (o, texts) => texts[0].Length == 0 ? o with { Advertise = null }
                : Uri.TryCreate(texts[0], UriKind.Absolute, out Uri? address)
                    && address is { Scheme: "https", PathAndQuery: "/", UserInfo: "", Fragment: "" }
                    ? o with { Advertise = address }
                    : null,
        },
    ];

    /// <summary>A machine need not have a name.</summary>
    private static string HostName => Environment.MachineName is { Length: > 0 } name ? name : "localhost";

    private static IEnumerable<ConfigurationKey> Runs() =>
    [
        KeyOf.Auto(
            KeyOf.Number("max-running", "auto", 1, 100_000,
                "Sandboxes that run at once, calls and tasks together. "
                + "auto: eight to a core, as far as memory reaches.",
                (o, v) => o with { MaxRunning = v }),
            o => o with { MaxRunning = null }),
        KeyOf.Number("queue-limit", "100000", 1, 10_000_000, "Tasks that may wait before new ones get 429.",
            (o, v) => o with { QueueLimit = v }),
        KeyOf.Number("waiting-calls-limit", "1000", 0, 1_000_000,
            "Calls that may wait for a place before new ones get 429.",
            (o, v) => o with { WaitingCallsLimit = v }),
        KeyOf.Span("call-timeout", "60s", TimeSpan.FromMilliseconds(100), Day,
            "Time of a call that names none, waiting included.",
            (o, v) => o with { CallTimeout = v }),
        KeyOf.Span("task-timeout", "15m", TimeSpan.FromMilliseconds(100), 30 * Day,
            "Time of one attempt of a task that names none.",
            (o, v) => o with { TaskTimeout = v }),
        KeyOf.Span("max-call-timeout", "1h", TimeSpan.FromMilliseconds(100), Day, "Longest time a call may ask for.",
            (o, v) => o with { MaxCallTimeout = v }),
        KeyOf.Span("max-task-timeout", "1d", TimeSpan.FromMilliseconds(100), 30 * Day,
            "Longest time a task may ask for.",
            (o, v) => o with { MaxTaskTimeout = v }),
        KeyOf.Span("grace", "10s", TimeSpan.Zero, TimeSpan.FromMinutes(10), "Time between SIGTERM and SIGKILL.",
            (o, v) => o with { Grace = v }),
        KeyOf.Switch("allow-host-network", "Whether a run may ask for the machine's own network.",
            (o, v) => o with { AllowHostNetwork = v }),
        new("runtime", ValueKind.Text, "",
            "OCI runtimes that runs may choose with --runtime beside the server's own runc: a name, the executable's "
            + "path and its global arguments, separated by spaces. Empty: none.",
            IsList: true)
        {
            Expected = $"{RegisteredRuntime.Expected}; each name once, in small letters, other than "
                + $"{RegisteredRuntime.Own}",
            Apply = (o, texts) => ParseRuntimes(texts) is { } runtimes ? o with { Runtimes = runtimes } : null,
        },
        new("mount-allow", ValueKind.Text, "",
            "Folders of this machine that programs may have in their files, with everything below them. Empty: none. "
            + "Whoever may run programs can read and write there as root.",
            IsList: true)
        {
            Expected = HostFolders.Expected,
            Apply = (o, texts) => texts.All(p => RunMount.Clean(p) is not null)
                ? o with { MountAllow = [.. texts] }
                : null,
        },
        new("network-allow", ValueKind.Text, "",
            "Private addresses that the networks of callers may open by rules of their own, as ranges. Empty: none. "
            + "What is public is open to them anyway.",
            IsList: true)
        {
            Expected = "ranges of IPv4 addresses such as 10.1.0.0/16",
            Apply = (o, texts) => texts.All(t => IPNetwork.TryParse(t, out IPNetwork range)
                && range.BaseAddress.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork)
                ? o with { NetworkAllow = [.. texts.Select(IPNetwork.Parse)] }
                : null,
        },
        KeyOf.Auto(
            KeyOf.Size("instance-memory", "auto", ByteSize.MiB(4),
                "Memory that instances of functions may have altogether. Past it, idle ones make room for others, and "
                + "calls wait. auto: three quarters of the machine's.",
                (o, v) => o with { InstanceMemory = v }),
            o => o with { InstanceMemory = null }),
        KeyOf.Size("pool-memory", "256Mi", ByteSize.Zero,
            "Memory that sandboxes prepared ahead may hold altogether. 0: prepare nothing ahead.",
            (o, v) => o with { PoolMemory = v }),
    ];

    private static IEnumerable<ConfigurationKey> Containers() =>
    [
        KeyOf.Number("max-containers", "1000", 0, 100_000, "Containers that may run at once, beside calls and tasks.",
            (o, v) => o with { MaxContainers = v }),
        KeyOf.Span("container-move-after", "30s", TimeSpan.FromSeconds(1), 365 * Day,
            "How long the node of a container may be lost before it is started elsewhere, where its restart policy "
            + "wants it started and it has no volume.",
            (o, v) => o with { ContainerMoveAfter = v }),
    ];

    private static IEnumerable<ConfigurationKey> Limits() =>
    [
        KeyOf.Size("default-memory", "256Mi", ByteSize.MiB(4), "Memory of a sandbox that asks for none.",
            (o, v) => o with { DefaultLimits = o.DefaultLimits with { Memory = v } }),
        KeyOf.Cpus("default-cpus", "1", "CPU of a sandbox that asks for none.",
            (o, v) => o with { DefaultLimits = o.DefaultLimits with { Cpu = v } }),
        KeyOf.Number("default-pids", "1024", 4, 4_194_304,
            "Processes and threads of a sandbox that asks for no number.",
            (o, v) => o with { DefaultLimits = o.DefaultLimits with { Pids = v } }),
        KeyOf.Size("default-disk", "512Mi", ByteSize.MiB(1), "Writable layer of a sandbox that asks for none.",
            (o, v) => o with { DefaultLimits = o.DefaultLimits with { WritableLayer = v } }),
        KeyOf.Size("max-memory", "64Gi", ByteSize.MiB(4), "Most memory a run may ask for.",
            (o, v) => o with { MaxLimits = o.MaxLimits with { Memory = v } }),
        KeyOf.Cpus("max-cpus", "64", "Most CPU a run may ask for.",
            (o, v) => o with { MaxLimits = o.MaxLimits with { Cpu = v } }),
        KeyOf.Number("max-pids", "32768", 4, 4_194_304, "Most processes and threads a run may ask for.",
            (o, v) => o with { MaxLimits = o.MaxLimits with { Pids = v } }),
        KeyOf.Size("max-disk", "64Gi", ByteSize.MiB(1), "Largest writable layer a run may ask for.",
            (o, v) => o with { MaxLimits = o.MaxLimits with { WritableLayer = v } }),
        KeyOf.Size("body-limit", "64Gi", ByteSize.KiB(1), "Largest body of a call. It is streamed, never kept.",
            (o, v) => o with { BodyLimit = v }),
        KeyOf.Size("input-limit", "4Gi", ByteSize.KiB(1), "Largest input of a task. It is kept on disk.",
            (o, v) => o with { InputLimit = v }),
        KeyOf.Size("output-limit", "64Gi", ByteSize.KiB(1),
            "Most bytes of standard output of a call; after that the program is ended.",
            (o, v) => o with { OutputLimit = v }),
        KeyOf.Size("overflow-limit", "4Gi", ByteSize.Zero,
            "Disk space, of all calls together, for output that comes while the caller still sends its body and does "
            + "not read, and for input that the program does not read (half of it at most). 0: both wait instead; "
            + "caller and program may wait for each other until the timeout, and a caller who leaves is noticed late.",
            (o, v) => o with { OverflowLimit = v }),
        KeyOf.Size("result-cache-limit", "1Gi", ByteSize.Zero,
            "Disk space, with up to 64 MiB of memory, for results that answer further calls (functions with cache or "
            + "single-flight), and for inputs and results of such calls under way. What was longest not asked for goes "
            + "first. 0: every call is executed.",
            (o, v) => o with { ResultCacheLimit = v }),
        KeyOf.Size("result-limit", "4Gi", ByteSize.KiB(1),
            "Most bytes of standard output of a task. They are kept on disk.",
            (o, v) => o with { ResultLimit = v }),
        KeyOf.Size("lambda-payload-limit", "6Mi", ByteSize.KiB(1),
            "Largest event of a Lambda function, and largest answer that it does not stream. They are held in memory.",
            (o, v) => o with { LambdaPayloadLimit = v }),
        KeyOf.Size("upload-limit", "32Gi", ByteSize.MiB(1), "Largest blob that may be pushed to the registry.",
            (o, v) => o with { UploadLimit = v }),
        KeyOf.Span("body-idle-timeout", "10m", TimeSpan.FromSeconds(1), Day,
            "How long a task's input or an upload to the registry may pause before it is refused; it may come as "
            + "slowly as it likes. A call's body is bounded by the call's timeout. Whoever reads an answer may pause "
            + "as long.",
            (o, v) => o with { BodyIdleTimeout = v }),
        KeyOf.Span("head-timeout", "15s", TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(10),
            "How long a connection may take for its first bytes, its TLS handshake, and the head of each request, "
            + "however steadily it drips in; then it is closed.",
            (o, v) => o with { HeadTimeout = v }),
        KeyOf.Number("max-connections", "10000", 1, 1_000_000, "Connections open at once; more are closed at once.",
            (o, v) => o with { MaxConnections = v }),
    ];

    private static IEnumerable<ConfigurationKey> Keeping() =>
    [
        KeyOf.Span("result-retention", "1d", TimeSpan.FromSeconds(1), 3650 * Day,
            "How long input and result are kept after a run's end.",
            (o, v) => o with { ResultRetention = v }),
        KeyOf.Span("dead-letter-retention", "14d", TimeSpan.FromSeconds(1), 3650 * Day,
            "How long a task that failed for good is listed as a dead letter, and its input and result kept.",
            (o, v) => o with { DeadLetterRetention = v }),
        KeyOf.Span("log-retention", "7d", TimeSpan.FromSeconds(1), 3650 * Day,
            "How long a log is kept after its last line.",
            (o, v) => o with { LogRetention = v }),
        KeyOf.Size("log-limit", "10Mi", ByteSize.KiB(64),
            "Bytes of standard error kept for one run; the middle is left out.",
            (o, v) => o with { LogLimit = v }),
        KeyOf.Span("run-retention", "30d", TimeSpan.FromSeconds(1), 3650 * Day,
            "How long the record of an ended run is kept.",
            (o, v) => o with { RunRetention = v }),
        KeyOf.Span("collect-interval", "1h", TimeSpan.FromSeconds(1), 30 * Day,
            "How often images' content that nothing refers to is deleted.",
            (o, v) => o with { CollectInterval = v }),
        KeyOf.Span("collect-grace", "1h", TimeSpan.Zero, 30 * Day,
            "Age that such content must have, so that a push under way is safe.",
            (o, v) => o with { CollectGrace = v }),
    ];

    private static IEnumerable<ConfigurationKey> Operation() =>
    [
        new("callback-allow", ValueKind.Text, "",
            "Hosts, addresses or networks (10.0.0.0/8) that callbacks may reach although they are internal.",
            IsList: true)
        {
            Expected = "host names, addresses or networks such as 10.0.0.0/8",
            Apply = (o, texts) => texts.All(CallbackTarget.IsValid) ? o with { CallbackAllow = [.. texts] } : null,
        },
        new("registry-allow", ValueKind.Text, "",
            "Hosts, addresses or networks of other registries that images may be copied from "
            + "and to although they are internal.",
            IsList: true)
        {
            Expected = "host names, addresses or networks such as 10.0.0.0/8",
            Apply = (o, texts) => texts.All(CallbackTarget.IsValid) ? o with { RegistryAllow = [.. texts] } : null,
        },
        KeyOf.Span("shutdown-grace", "30s", TimeSpan.Zero, TimeSpan.FromHours(1),
            "How long a stopping server lets calls finish before it ends them. Tasks are handed back to the queue.",
            (o, v) => o with { ShutdownGrace = v }),
        KeyOf.Switch("metrics-open", "Whether /metrics can be read without a token.",
            (o, v) => o with { MetricsOpen = v }),
        new("otlp-endpoint", ValueKind.Text, "",
            "Collector that gets a trace of every run, and the metrics, over OTLP/HTTP in JSON; /v1/traces and "
            + "/v1/metrics are added. Empty: nothing is sent.")
        {
            Expected = "an address such as http://127.0.0.1:4318",
            Apply = (o, texts) => texts[0].Length == 0 ? o with { OtlpEndpoint = null }
                : ParseWebAddress(texts[0]) is { } address ? o with { OtlpEndpoint = address } : null,
        },
        new("otlp-headers", ValueKind.Text, "", "Headers sent to the collector, as name=value.", IsList: true)
        {
            Expected = "headers such as x-api-key=secret",
            Apply = (o, texts) => texts.Count == 0 ? o with { OtlpHeaders = [] }
                : ParseHeaders(texts) is { } headers ? o with { OtlpHeaders = headers } : null,
        },
        KeyOf.Span("otlp-interval", "30s", TimeSpan.FromSeconds(1), Day, "How often metrics are sent to the collector.",
            (o, v) => o with { OtlpInterval = v }),
        KeyOf.Choice<LogLevelName>("log-level", "info", "Least important log messages to write.",
            (o, v) => o with { LogLevel = v }),
        KeyOf.Choice<LogFormat>("log-format", "text",
            "One line of text, or one JSON object, per message; on standard error.",
            (o, v) => o with { LogFormat = v }),
    ];

    private static RegisteredRuntime[]? ParseRuntimes(IReadOnlyList<string> texts)
    {
        RegisteredRuntime?[] runtimes = [.. texts.Select(RegisteredRuntime.Parse)];
        return runtimes.Contains(null) || runtimes.DistinctBy(r => r!.Name).Count() < runtimes.Length
            ? null
            : [.. runtimes.OfType<RegisteredRuntime>()];
    }

    private static Uri? ParseWebAddress(string text) =>
        WebAddress.TryParse(text, out Uri? address) ? address : null;

    private static List<KeyValuePair<string, string>>? ParseHeaders(IReadOnlyList<string> texts)
    {
        List<KeyValuePair<string, string>> headers = [];
        foreach (string text in texts)
        {
            int equals = text.IndexOf('=', StringComparison.Ordinal);
            if (equals < 1 || text.AsSpan().ContainsAny('\r', '\n'))
            {
                return null;
            }

            headers.Add(new(text[..equals].Trim(), text[(equals + 1)..].Trim()));
        }

        return headers;
    }

    private static List<IPNetwork>? ParseNetworks(IReadOnlyList<string> texts)
    {
        List<IPNetwork> networks = [];
        foreach (string text in texts)
        {
            if (IPAddress.TryParse(text, out IPAddress? address) && text.AsSpan().ContainsAny('.', ':'))
            {
                networks.Add(new IPNetwork(address, address.GetAddressBytes().Length * 8));
            }
            else if (IPNetwork.TryParse(text, out IPNetwork network))
            {
                networks.Add(network);
            }
            else
            {
                return null;
            }
        }

        return networks;
    }

    private static List<ListenAddress>? ParseAddresses(IReadOnlyList<string> texts)
    {
        List<ListenAddress> addresses = [];
        foreach (string text in texts)
        {
            if (!ListenAddress.TryParse(text, out ListenAddress? address))
            {
                return null;
            }

            addresses.Add(address);
        }

        return addresses.Count == 0 ? null : addresses;
    }
}
