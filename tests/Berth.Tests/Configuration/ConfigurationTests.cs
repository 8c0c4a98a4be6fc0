using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Server.Configuration;
using Berth.Testing.Content;
using Xunit;

namespace Berth.Tests.Configuration;

/// <summary>
/// Where an operator's words come from, which of them win, and how those that can't be used are refused.
/// </summary>
public sealed class ConfigurationTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public static IEnumerable<TheoryDataRow<string>> Keys =>
        ConfigurationKeys.All.Select(key => new TheoryDataRow<string>(key.Name));

    [Fact]
    public void A_flag_wins_over_the_environment_that_over_the_file_that_over_the_default()
    {
        string file = Write("""{ "call-timeout": "1s", "task-timeout": "2s", "grace": "3s" }""");
        Dictionary<string, string> environment = new() { ["BERTH_CALL_TIMEOUT"] = "4s", ["BERTH_TASK_TIMEOUT"] = "5s" };

        ServerOptions options = Read(file, environment, ("call-timeout", "6s"));

        Assert.Equal(TimeSpan.FromSeconds(6), options.CallTimeout);
        Assert.Equal(TimeSpan.FromSeconds(5), options.TaskTimeout);
        Assert.Equal(TimeSpan.FromSeconds(3), options.Grace);
        Assert.Equal(TimeSpan.FromHours(1), options.MaxCallTimeout);
    }

    [Fact]
    public void A_list_is_an_array_in_the_file_and_repeated_or_with_commas_elsewhere()
    {
        ServerOptions file = Read(Write("""{ "listen": ["127.0.0.1:1", "[::1]:2"] }"""), []);
        ServerOptions variable = Read(null, new() { ["BERTH_LISTEN"] = "127.0.0.1:1, [::1]:2" });
        ServerOptions flags = Read(null, [], ("listen", "127.0.0.1:1"), ("listen", "[::1]:2"));

        foreach (ServerOptions options in new[] { file, variable, flags })
        {
            Assert.Equal(["127.0.0.1:1", "[::1]:2"], options.Listen.Select(l => l.ToString()));
        }
    }

    [Fact]
    public void Numbers_and_switches_may_be_written_as_such_in_the_file_which_may_have_comments()
    {
        ServerOptions options = Read(Write(
            """
            {
              // how much at once
              "max-running": 7,
              "metrics-open": true,
            }
            """), []);

        Assert.Equal((7, true), (options.MaxRunning, options.MetricsOpen));
    }

    [Fact]
    public void The_defaults_are_those_that_are_promised()
    {
        ServerOptions options = ConfigurationReader.Defaults();

        Assert.Equal("/var/lib/berth", options.DataFolder);
        Assert.Equal("127.0.0.1:7070", options.Listen.Single().ToString());
        Assert.Equal((TimeSpan.FromSeconds(60), TimeSpan.FromMinutes(15)), (options.CallTimeout, options.TaskTimeout));
        Assert.Equal(TimeSpan.FromSeconds(10), options.Grace);
        Assert.Equal(
            (ByteSize.MiB(256), 1000, 1024, ByteSize.MiB(512)),
            (options.DefaultLimits.Memory, options.DefaultLimits.Cpu.Millicores, options.DefaultLimits.Pids,
                options.DefaultLimits.WritableLayer));
        Assert.Equal((1000, false, false), (options.WaitingCallsLimit, options.AllowHostNetwork, options.MetricsOpen));
        Assert.Equal(
            (TimeSpan.FromHours(24), TimeSpan.FromDays(7), ByteSize.MiB(10)),
            (options.ResultRetention, options.LogRetention, options.LogLimit));
        Assert.Equal(Environment.MachineName, options.NodeName);
    }

    [Theory]
    [MemberData(nameof(Keys))]
    public void Every_default_is_a_value_that_could_be_written(string name)
    {
        ConfigurationKey key = ConfigurationKeys.All.Single(k => k.Name == name);

        ServerOptions written = Read(null, new() { [key.Variable] = key.Default });

        ServerOptions defaults = ConfigurationReader.Defaults();
        Assert.Equal(defaults.Listen, written.Listen);
        Assert.Equal(defaults.CallbackAllow, written.CallbackAllow);
        Assert.Equal(defaults.RegistryAllow, written.RegistryAllow);
        Assert.Equal(defaults.MountAllow, written.MountAllow);
        Assert.Equal(defaults.NetworkAllow, written.NetworkAllow);
        Assert.Equal(defaults.TrustedProxies, written.TrustedProxies);
        Assert.Equal(defaults.HostNames, written.HostNames);
        Assert.Equal(WithoutLists(defaults), WithoutLists(written));
        Assert.NotEmpty(key.Description);
        Assert.NotEmpty(key.Expected);
    }

    [Theory]
    [InlineData("127.0.0.1", "127.0.0.1/32")]
    [InlineData("10.0.0.0/8,fd00::/8", "10.0.0.0/8 fd00::/8")]
    [InlineData("::1", "::1/128")]
    [InlineData("10.1.2.3/8", "10.0.0.0/8")]
    [InlineData("10.0.0.0/33", null)]
    [InlineData("proxy.internal", null)]
    [InlineData("1", null)]
    public void Trusted_proxies_are_addresses_and_networks(string written, string? expected)
    {
        string? read = null;
        Exception? refusal = Record.Exception(() => read = string.Join(
            ' ', Read(null, new() { ["BERTH_TRUSTED_PROXY"] = written }).TrustedProxies));

        Assert.Equal(expected, read);
        Assert.Equal(expected is null, refusal is Berth.Core.Errors.BerthException);
    }

    [Theory]
    [MemberData(nameof(Keys))]
    public void A_value_that_cannot_be_is_refused_with_key_value_source_and_what_would_do(string name)
    {
        ConfigurationKey key = ConfigurationKeys.All.Single(k => k.Name == name);
        if (key.Kind is ValueKind.Text or ValueKind.Path && !key.IsList)
        {
            return;
        }

        string file = Write($$"""{ "{{name}}": "% no value" }""");

        string fromFile = Refused(() => Read(file, []));
        string fromVariable = Refused(() => Read(null, new() { [key.Variable] = "% no value" }));
        string fromFlag = Refused(() => Read(null, [], (name, "% no value")));

        foreach (string message in new[] { fromFile, fromVariable, fromFlag })
        {
            Assert.Contains($"{name} = '% no value'", message, StringComparison.Ordinal);
            Assert.Contains("expected " + key.Expected, message, StringComparison.Ordinal);
        }

        Assert.Contains($"the file {file}", fromFile, StringComparison.Ordinal);
        Assert.Contains($"the environment variable {key.Variable}", fromVariable, StringComparison.Ordinal);
        Assert.Contains($"the flag --{name}", fromFlag, StringComparison.Ordinal);
    }

    [Fact]
    public void An_unknown_name_is_refused_with_the_nearest_that_exists()
    {
        string fromFile = Refused(() => Read(Write("""{ "max-runing": 3 }"""), []));
        string fromFlag = Refused(() => Read(null, [], ("callback-alow", "x")));

        Assert.Contains("'max-runing'", fromFile, StringComparison.Ordinal);
        Assert.Contains("'max-running'", fromFile, StringComparison.Ordinal);
        Assert.Contains("the file ", fromFile, StringComparison.Ordinal);
        Assert.Contains("'callback-allow'", fromFlag, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{", "not valid JSON")]
    [InlineData("[]", "one JSON object")]
    [InlineData("null", "one JSON object")]
    [InlineData("""{ "grace": "1s", "grace": "2s" }""", "not valid JSON")]
    [InlineData("""{ "grace": null }""", "grace")]
    [InlineData("""{ "grace": { "a": 1 } }""", "grace")]
    [InlineData("""{ "listen": [1] }""", "listen")]
    [InlineData("""{ "grace": ["1s", "2s"] }""", "one value")]
    public void A_file_that_cannot_be_read_is_refused(string content, string told) =>
        Assert.Contains(told, Refused(() => Read(Write(content), [])), StringComparison.Ordinal);

    [Fact]
    public void A_file_that_is_not_there_is_named() =>
        Assert.Contains(folder["none.json"], Refused(() => Read(folder["none.json"], [])), StringComparison.Ordinal);

    [Theory]
    [InlineData("default-memory", "2Gi", "max-memory", "1Gi")]
    [InlineData("default-cpus", "3", "max-cpus", "2")]
    [InlineData("default-pids", "100", "max-pids", "99")]
    [InlineData("default-disk", "2Gi", "max-disk", "1Gi")]
    [InlineData("call-timeout", "2m", "max-call-timeout", "1m")]
    [InlineData("task-timeout", "2m", "max-task-timeout", "1m")]
    public void A_default_over_its_maximum_is_refused_with_both(string lower, string value, string upper, string bound)
    {
        string message = Refused(() => Read(null, [], (lower, value), (upper, bound)));

        Assert.Contains($"{lower} = '{value}'", message, StringComparison.Ordinal);
        Assert.Contains($"{upper} = '{bound}'", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_domain_of_functions_needs_the_servers_own_names()
    {
        string without = Refused(() => Read(null, [], ("function-domain", "fn.example.org")));
        string wrong = Refused(() => Read(null, [], ("host-names", "berth fn")));
        ServerOptions both = Read(
            null, [], ("function-domain", "fn.example.org"), ("host-names", "Berth.fn.example.org"),
            ("host-names", "localhost"));

        Assert.Contains("host-names must be given too", without, StringComparison.Ordinal);
        Assert.Contains("names such as berth.example.org", wrong, StringComparison.Ordinal);
        Assert.Equal(["berth.fn.example.org", "localhost"], both.HostNames);
    }

    [Fact]
    public void A_certificate_needs_its_key_and_both_must_be_there()
    {
        string file = Write("{}");

        string half = Refused(() => Read(null, [], ("tls-certificate", file)));
        string missing = Refused(() => Read(null, [], ("tls-certificate", file), ("tls-key", folder["none.pem"])));

        Assert.Contains("tls-key must be given too", half, StringComparison.Ordinal);
        Assert.Contains("no such file", missing, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("data", "relative/path", "absolute")]
    [InlineData("node-name", "a b", "letters")]
    [InlineData("listen", "7070", "address and port")]
    [InlineData("listen", "1:7070", "address and port")]
    [InlineData("listen", "127.0.0.1:65536", "address and port")]
    [InlineData("listen", "::1:7070", "address and port")]
    [InlineData("listen", "", "address and port")]
    [InlineData("callback-allow", "10.0.0.0/33", "networks")]
    public void Places_and_names_are_checked(string key, string value, string told) =>
        Assert.Contains(told, Refused(() => Read(null, [], (key, value))), StringComparison.Ordinal);

    public void Dispose() => folder.Dispose();

    private static string Refused(Action read)
    {
        BerthException refusal = Assert.Throws<BerthException>(read);
        Assert.Equal(ErrorCode.InvalidConfiguration, refusal.Code);
        return refusal.Message;
    }

    private static ServerOptions Read(
        string? file, Dictionary<string, string> environment, params (string Name, string Value)[] flags) =>
        ConfigurationReader.Read(new ConfigurationSources(
            flags.GroupBy(f => f.Name).ToDictionary(
                g => g.Key, g => (IReadOnlyList<string>)[.. g.Select(f => f.Value)]),
            environment.GetValueOrDefault, file));

    private string Write(string content)
    {
        string path = folder["config.json"];
        File.WriteAllText(path, content);
        return path;
    }

    private static ServerOptions WithoutLists(ServerOptions options) =>
        options with
        {
            Listen = [],
            CallbackAllow = [],
            RegistryAllow = [],
            MountAllow = [],
            NetworkAllow = [],
            TrustedProxies = [],
            HostNames = [],
        };
}
