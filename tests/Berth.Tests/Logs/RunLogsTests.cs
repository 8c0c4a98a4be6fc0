using System.Text;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Logs;
using Berth.Testing.Clocks;
using Berth.Testing.Content;
using Berth.Testing.Runs;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Berth.Tests.Logs;

public sealed class RunLogsTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;
    private static readonly RunId Id = RunId.New(RunBuilder.Noon);

    private readonly TemporaryFolder folder = new();
    private readonly ManualTime time = new();
    private readonly RunLogs logs;

    public RunLogsTests() => logs = new RunLogs(folder["logs"], ByteSize.KiB(200), time, NullLogger<RunLogs>.Instance);

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task Lines_come_back_with_the_time_they_were_written()
    {
        Write("one\ntwo\n");
        time.Advance(TimeSpan.FromSeconds(5));
        Write("three\n");

        List<LogLine> lines = await ReadAsync();

        Assert.Equal(["one", "two", "three"], lines.Select(Text));
        Assert.Equal([0, 0, 5], lines.Select(line => (line.At - lines[0].At).TotalSeconds));
        string raw = await File.ReadAllTextAsync(Path.Combine(folder["logs"], Id.Text, "000000.log"), None);
        Assert.StartsWith("2026-01-02T12:00:00.0000000Z stderr F one\n", raw, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("\n")]
    [InlineData("no end")]
    [InlineData("a\n\nb\n")]
    [InlineData("\r\nwindows\r\n")]
    public async Task Whatever_is_written_in_whatever_pieces_reads_the_same(string text)
    {
        using (RunLogWriter writer = logs.Append(Id))
        {
            foreach (byte one in Encoding.UTF8.GetBytes(text))
            {
                writer.Write([one]);
            }
        }

        string read = string.Join('\n', (await ReadAsync()).Select(Text));

        Assert.Equal(text.EndsWith('\n') ? text[..^1] : text, read);
    }

    [Fact]
    public async Task A_very_long_line_is_split_and_can_be_put_together_again()
    {
        string text = new('x', 40_000);
        Write(text + "\nnext\n");

        List<LogLine> lines = await ReadAsync();

        Assert.Equal([true, true, false, false], lines.Select(line => line.Partial));
        Assert.Equal(text, string.Concat(lines.Take(3).Select(Text)));
    }

    [Theory]
    [InlineData(LogFormat.MaxText)]
    [InlineData(2 * LogFormat.MaxText)]
    [InlineData(LogFormat.MaxText + 1)]
    public async Task A_long_line_without_an_end_is_ended_with_its_attempt(int length)
    {
        Write(new string('x', length));
        Write("next attempt\n");

        List<LogLine> lines = await ReadAsync();

        Assert.Equal(length, lines.TakeWhile(line => line.Partial).Append(lines[^2]).Sum(line => line.Text.Length));
        Assert.Equal((false, "next attempt"), (lines[^2].Partial, Text(lines[^1])));
        Assert.Equal(["next attempt"], (await ReadAsync(new LogQuery(false, 1, null))).Select(Text));
    }

    [Fact]
    public async Task Past_the_limit_the_beginning_and_the_newest_lines_are_kept()
    {
        for (int i = 0; i < 20_000; i++)
        {
            Write($"line {i}\n");
        }

        List<LogLine> lines = await ReadAsync();
        long size = new DirectoryInfo(Path.Combine(folder["logs"], Id.Text)).EnumerateFiles().Sum(file => file.Length);

        Assert.Equal("line 0", Text(lines[0]));
        Assert.Equal("line 19999", Text(lines[^1]));
        LogLine gap = Assert.Single(lines, line => line.Gap > 0);
        Assert.InRange(gap.Gap, 600_000, 1_000_000);
        Assert.InRange(size, 100_000, 210_000);
    }

    [Fact]
    public async Task The_tail_and_lines_since_a_time_can_be_asked_for()
    {
        Write("one\ntwo\n");
        time.Advance(TimeSpan.FromSeconds(5));
        DateTimeOffset later = time.GetUtcNow();
        Write("three\nfour\n");

        Assert.Equal(["three", "four"], (await ReadAsync(new LogQuery(false, 2, null))).Select(Text));
        Assert.Equal(["three", "four"], (await ReadAsync(new LogQuery(false, null, later))).Select(Text));
        Assert.Equal(["four"], (await ReadAsync(new LogQuery(false, 1, later))).Select(Text));
        Assert.Empty(await ReadAsync(new LogQuery(false, 0, null)));
    }

    [Fact]
    public async Task A_follower_sees_every_line_of_a_fast_writer_once_and_then_the_end()
    {
        const int Count = 5000;
        Task<List<LogLine>> following = Task.Run(
            () => ReadAsync(new LogQuery(Follow: true, null, null), live: true), None);
        await using (IAsyncEnumerator<LogLine> first =
            logs.ReadAsync(Id, new LogQuery(true, null, null), _ => Task.FromResult(true),
                None).GetAsyncEnumerator(None))
        {
            ValueTask<bool> moved = first.MoveNextAsync();
            Write("line 0\n");
            Assert.True(await moved);
        }

        await Task.Run(
            () =>
            {
                for (int i = 1; i < Count; i++)
                {
                    Write($"line {i}\n");
                }
            },
            None);
        // A follower that came too late for this would wait for ever: it asked whether the run lives before.
        while (!following.IsCompleted)
        {
            logs.Complete(Id);
            await Task.Yield();
        }

        List<LogLine> lines = await following;
        int[] numbers = [.. lines.Select(line => int.Parse(Text(line).AsSpan(5)))];
        Assert.Equal(numbers.Order().Distinct(), numbers);
        Assert.Equal(Count - 1, numbers[^1]);
    }

    [Fact]
    public async Task Half_a_record_left_by_a_power_cut_is_skipped()
    {
        Write("one\n");
        string path = Path.Combine(folder["logs"], Id.Text, "000000.log");
        await File.AppendAllTextAsync(path, "2026-01-02T12:00:0", None);
        await File.AppendAllTextAsync(path, "\n", None);
        Write("two\n");

        Assert.Equal(["one", "two"], (await ReadAsync()).Select(Text));
    }

    [Fact]
    public async Task A_log_that_can_not_be_written_loses_lines_and_nothing_else()
    {
        await File.WriteAllTextAsync(Path.Combine(folder["logs"], Id.Text), "a file where the folder should be", None);

        Write("lost\n");

        Assert.Empty(await ReadAsync());
    }

    [Fact]
    public async Task A_log_that_can_be_written_again_goes_on_and_says_how_many_lines_are_missing()
    {
        string path = Path.Combine(folder["logs"], Id.Text);
        using RunLogWriter writer = logs.Append(Id);
        writer.Write("one\n"u8);
        Directory.Move(path, path + ".away");
        await File.WriteAllTextAsync(path, "a file where the folder should be", None);
        writer.Write(new byte[ByteSize.KiB(30).Bytes]);
        writer.Write("\nlost\nlost too\n"u8);
        File.Delete(path);
        Directory.Move(path + ".away", path);

        writer.Write("too soon to try again\n"u8);
        time.Advance(TimeSpan.FromSeconds(1));
        writer.Write("two\n"u8);

        List<string> lines = [.. (await ReadAsync()).Select(Text)];
        Assert.Equal("one", lines[0]);
        Assert.Equal(
            ["[berth: 4 lines are missing here: the server's disk did not take them]", "two"], lines[^2..]);
    }

    [Fact]
    public async Task Half_a_record_left_by_a_killed_server_does_not_take_the_next_with_it()
    {
        Write("one\n");
        string path = Path.Combine(folder["logs"], Id.Text, "000000.log");
        await File.AppendAllTextAsync(path, "2026-01-02T12:00:00.0000000Z stderr F ha", None);
        Write("two\n");
        Write("three\n");

        Assert.Equal(["one", "ha", "two", "three"], (await ReadAsync()).Select(Text));
    }

    [Fact]
    public void Old_logs_are_those_whose_last_line_is_old()
    {
        RunId other = RunId.New(RunBuilder.Noon);
        RunId young = RunId.New(RunBuilder.Noon.AddYears(1));
        Write("old\n");
        using (RunLogWriter writer = logs.Append(other))
        {
            writer.Write("new\n"u8);
        }

        Age(Id, RunBuilder.Noon.AddDays(1));
        Age(other, RunBuilder.Noon.AddDays(3));
        Directory.CreateDirectory(Path.Combine(folder["logs"], young.Text));
        Directory.SetLastWriteTimeUtc(Path.Combine(folder["logs"], young.Text), RunBuilder.Noon.UtcDateTime);

        Assert.Equal([Id], logs.UntouchedSince(RunBuilder.Noon.AddDays(2)));
    }

    private void Age(RunId id, DateTimeOffset at)
    {
        string path = Path.Combine(folder["logs"], id.Text);
        File.SetLastWriteTimeUtc(Path.Combine(path, "000000.log"), at.UtcDateTime);
        Directory.SetLastWriteTimeUtc(path, at.UtcDateTime);
    }

    private static string Text(LogLine line) => Encoding.UTF8.GetString(line.Text.Span);

    private void Write(string text)
    {
        using RunLogWriter writer = logs.Append(Id);
        writer.Write(Encoding.UTF8.GetBytes(text));
    }

    private async Task<List<LogLine>> ReadAsync(LogQuery? query = null, bool live = false)
    {
        List<LogLine> lines = [];
        await foreach (LogLine line in logs.ReadAsync(Id, query ?? new LogQuery(false, null, null),
            _ => Task.FromResult(live), None))
        {
            lines.Add(line);
        }

        return lines;
    }
}
