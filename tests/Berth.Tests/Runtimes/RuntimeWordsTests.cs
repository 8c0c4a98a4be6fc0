using System.Text;
using System.Text.Json;
using Berth.Api.Nodes;
using Berth.Cli.Machines;
using Berth.Core.Resources;
using Berth.Node.Engines;
using Berth.Node.Runtimes;
using Xunit;

namespace Berth.Tests.Runtimes;

/// <summary>What is said to runtimes, and what they say.</summary>
public sealed class RuntimeWordsTests : IDisposable
{
    private readonly string file = Path.GetTempFileName();

    public void Dispose() => File.Delete(file);

    [Theory]
    [InlineData("{\"msg\":\"first\"}{\"msg\":\"last\"}", "last")]
    [InlineData("{\"msg\":\"first\"}\n{\"level\":\"info\"}\n", "first")]
    [InlineData("{\"msg\":\"first\"}\n{\"msg\":\"cut o", "first")]
    [InlineData("no json", null)]
    [InlineData("", null)]
    public void The_last_message_of_a_log_is_found(string log, string? message)
    {
        File.WriteAllText(file, log);

        Assert.Equal(message, RuntimeLog.LastMessage(file));
    }

    [Fact]
    public void A_table_of_processes_is_read_without_its_heading_and_the_init()
    {
        const string Table = """
            UID       PID       PPID      C         TTY       STIME     TIME      CMD
            0         1         0         3         ?         17:08     20ms      .berth-init
            5         7         1         1         ?         17:08     10ms      a name
            broken line

            """;
        using MemoryStream stream = new(Encoding.UTF8.GetBytes(Table));

        ProcessView only = Assert.Single(RuntimeProcesses.Parse(stream));

        Assert.Equal(new ProcessView(7, 5, TimeSpan.FromMilliseconds(10), ByteSize.Zero, "a name"), only);
    }

    [Fact]
    public void The_filter_is_told_in_the_words_of_the_specification()
    {
        using JsonDocument filter = JsonDocument.Parse(
            JsonSerializer.SerializeToUtf8Bytes(RuntimeSeccompRules.All, RuntimeJson.Default.RuntimeSeccomp));
        JsonElement calls = filter.RootElement.GetProperty("syscalls");

        Assert.Equal("SCMP_ACT_ERRNO", filter.RootElement.GetProperty("defaultAction").GetString());
        Assert.Equal(1, filter.RootElement.GetProperty("defaultErrnoRet").GetInt32());
        Assert.Contains("\"read\"", calls[0].GetProperty("names").GetRawText(), StringComparison.Ordinal);
        Assert.DoesNotContain("\"clone\"", calls[0].GetProperty("names").GetRawText(), StringComparison.Ordinal);
        Assert.Equal(
            """{"index":0,"value":2114060288,"valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"}""",
            calls[1].GetProperty("args")[0].GetRawText());
    }

    [Theory]
    [InlineData("x=/x", null, "missing")]
    [InlineData("x=/x", "x version 1", "ok")]
    [InlineData("x=/x --ignore-cgroups", "x version 1", "ok")]
    public void A_checkup_tells_of_each_runtime(string setting, string? version, string state)
    {
        Finding finding = RuntimeCheck.Judge(RegisteredRuntime.Parse(setting)!, version);

        Assert.Equal(("runtime x", state), (finding.Name, finding.State.ToString().ToLowerInvariant()));
        Assert.Equal(version is null, finding.Remedy is not null);
    }
}
