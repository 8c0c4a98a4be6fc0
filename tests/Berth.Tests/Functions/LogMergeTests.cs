using System.Text;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Functions;
using Berth.Server.Logs;
using Berth.Testing.Clocks;
using Berth.Testing.Content;
using Berth.Testing.Runs;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Berth.Tests.Functions;

/// <summary>Several runs' logs as one.</summary>
public sealed class LogMergeTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly ManualTime time = new();
    private readonly RunLogs logs;
    private readonly RunId first = RunId.New(RunBuilder.Noon);
    private readonly RunId second = RunId.New(RunBuilder.Noon.AddSeconds(1));

    public LogMergeTests() => logs = new RunLogs(folder["logs"], ByteSize.MiB(1), time, NullLogger<RunLogs>.Instance);

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Lines_of_several_runs_come_by_time_and_each_once()
    {
        using RunLogWriter one = logs.Append(first);
        using RunLogWriter two = logs.Append(second);
        Write(two, "a\n");
        Write(one, "b\n");
        Write(two, "c\n");
        using LogMerge merge = new(logs);
        merge.Add(first);
        merge.Add(second);

        string past = Read(merge);
        string nothing = Read(merge);
        Write(one, "d\n");
        Write(two, "e\n");

        Assert.Equal("2:a 1:b 2:c", past);
        Assert.Equal("", nothing);
        Assert.Equal("1:d 2:e", Read(merge));
    }

    [Fact]
    public void The_parts_of_a_long_line_stay_together()
    {
        using RunLogWriter one = logs.Append(first);
        using RunLogWriter two = logs.Append(second);
        Write(one, new string('x', LogFormat.MaxText));
        Write(two, "between\n");
        Write(one, "y\n");
        using LogMerge merge = new(logs);
        merge.Add(first);
        merge.Add(second);

        FunctionLogLine[] lines = [.. merge.Read(null).OfType<FunctionLogLine>()];

        Assert.Equal([first, first, second], lines.Select(l => l.Run));
    }

    [Fact]
    public void Who_waits_for_the_first_line_is_told_now_and_then_that_older_ones_are_passed_over()
    {
        using RunLogWriter one = logs.Append(first);
        using RunLogWriter two = logs.Append(second);
        Write(one, string.Concat(Enumerable.Repeat("old\n", (LogMerge.BusyLines * 2) + 100)));
        Write(two, string.Concat(Enumerable.Repeat("old\n", LogMerge.BusyLines)));
        time.Advance(TimeSpan.FromSeconds(1));
        DateTimeOffset since = time.GetUtcNow();
        Write(one, "a\n");
        Write(two, "b\n");
        using LogMerge merge = new(logs);
        merge.Add(first);
        merge.Add(second);

        FunctionLogLine?[] read = [.. merge.Read(since)];

        Assert.Equal([null, null, null, first, second], read.Select(l => l?.Run));
    }

    [Fact]
    public void A_run_that_has_ended_is_read_to_its_end_and_never_again()
    {
        using RunLogWriter one = logs.Append(first);
        Write(one, "last\n");
        using LogMerge merge = new(logs);
        merge.Add(first);
        merge.EndAfterReading(first);
        merge.EndAfterReading(second);

        Assert.Equal("1:last", Read(merge));
        merge.Add(first);
        Assert.True(merge.IsEmpty);
        Assert.True(merge.Knows(second));
    }

    [Fact]
    public async Task Who_watches_is_told_which_logs_were_written_and_which_are_complete()
    {
        using LogWatch watch = logs.Watch();
        using RunLogWriter one = logs.Append(first);
        Assert.False(watch.Changed.IsCompleted);

        Write(one, "a\n");
        logs.Complete(first);
        using RunLogWriter two = logs.Append(second);
        Write(two, "b\n");

        await watch.Changed;
        IReadOnlyDictionary<string, bool> written = watch.Take(out int unknown);
        Assert.Equal(0, unknown);
        Assert.Equal([(first.Text, true), (second.Text, false)], written.Select(w => (w.Key, w.Value)).Order());
        Assert.Empty(watch.Take(out _));
        Assert.False(watch.Changed.IsCompleted);
    }

    private void Write(RunLogWriter writer, string text)
    {
        time.Advance(TimeSpan.FromMilliseconds(10));
        writer.Write(Encoding.UTF8.GetBytes(text));
    }

    private string Read(LogMerge merge) => string.Join(
        ' ', merge.Read(null).OfType<FunctionLogLine>().Select(l =>
            $"{(l.Run == first ? 1 : 2)}:{Encoding.UTF8.GetString(l.Line.Text.Span)}"));
}
