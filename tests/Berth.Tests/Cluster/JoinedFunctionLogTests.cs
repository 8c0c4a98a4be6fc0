using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Text;
using System.Threading.Channels;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Cluster;
using Berth.Server.Functions;
using Berth.Server.Logs;
using Berth.Testing.Clocks;
using Xunit;

namespace Berth.Tests.Cluster;

/// <summary>The parts of a function's log that several servers have, as one.</summary>
public sealed class JoinedFunctionLogTests
{
    private static readonly DateTimeOffset Begin = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);

    private readonly ManualTime time = new();
    private readonly List<Played> servers = [];
    private bool isThere = true;

    private static CancellationToken Soon => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(null, "1a 2b 3a 4c 5b 6a")]
    [InlineData(4, "3a 4c 5b 6a")]
    [InlineData(1, "6a")]
    [InlineData(0, "")]
    [InlineData(100, "1a 2b 3a 4c 5b 6a")]
    public async Task Lines_of_all_servers_come_by_time_and_of_all_only_the_last(int? tail, string expected)
    {
        Add("one").Tells("1a", "3a", "6a");
        Add("two").Tells("2b", "5b");
        Add("three").Tells("4c");
        Add("four");

        Assert.Equal(expected, await ReadAsync(new LogQuery(false, tail, null)));
    }

    [Theory]
    [InlineData(null, "1a 2b- 4b 3a")]
    [InlineData(2, "2b- 4b 3a")]
    [InlineData(1, "3a")]
    public async Task The_parts_of_a_long_line_stay_together_and_are_one(int? tail, string expected)
    {
        Add("one").Tells("1a", "3a");
        Add("two").Tells("2b-", "4b");

        Assert.Equal(expected, await ReadAsync(new LogQuery(false, tail, null)));
    }

    [Fact]
    public async Task A_server_that_breaks_is_told_where_it_does_and_the_others_go_on()
    {
        Add("one").Tells("1a", "4a");
        Add("two").Tells("2b").Breaks();
        Add("three").Breaks();

        Assert.Equal("[three away] 1a 2b [two away] 4a", await ReadAsync(new LogQuery(false, null, null)));
    }

    [Fact]
    public async Task A_server_that_says_nothing_is_waited_for_no_longer_than_a_moment()
    {
        Add("one").Tells("1a", "3a");
        Add("two").Tells("2b").IsSilent = true;

        Task<string> reading = ReadAsync(new LogQuery(false, null, null));
        await TimeMovesAsync(reading, FunctionLogPart.Silence);

        Assert.Equal("1a 2b [two silent] 3a", await reading);
    }

    [Fact]
    public async Task What_this_server_can_not_read_is_no_server_that_is_missing()
    {
        Add("").Breaks();

        await Assert.ThrowsAsync<BerthException>(() => ReadAsync(new LogQuery(false, null, null)));
    }

    [Fact]
    public async Task A_follower_gets_what_was_by_time_and_then_what_comes_from_whom_it_comes()
    {
        Played one = Add("one").Tells("1a", "3a");
        Played two = Add("two").Tells("2b");
        await using IAsyncEnumerator<string> lines = Follow();

        Assert.Equal("1a 2b 3a", await NextAsync(lines, 3));
        two.Writes("5b");
        Assert.Equal("5b", await NextAsync(lines, 1));
        one.Writes("4a");
        Assert.Equal("4a", await NextAsync(lines, 1));
        isThere = false;
        one.Ends();
        two.Ends();
        Assert.False(await lines.MoveNextAsync());
    }

    [Fact]
    public async Task A_follower_gets_from_a_server_that_is_back_what_it_has_not_told_yet()
    {
        Played one = Add("one").Tells("1a");
        Played two = Add("two").Tells("2b");
        await using IAsyncEnumerator<string> lines = Follow();
        Assert.Equal("1a 2b", await NextAsync(lines, 2));

        two.Breaks();
        Assert.Equal("[two away]", await NextAsync(lines, 1));
        one.Writes("3a");
        Assert.Equal("3a", await NextAsync(lines, 1));
        two.Tells("2b", "4b", "5b").IsBack();

        Assert.Equal("4b 5b", await LaterAsync(lines, 2));
    }

    [Fact]
    public async Task What_a_log_has_lost_during_a_break_is_not_taken_for_what_comes_after_it()
    {
        Played one = Add("one").Tells("1a", "2b", "2c");
        await using IAsyncEnumerator<string> lines = Follow();
        Assert.Equal("1a 2b 2c", await NextAsync(lines, 3));

        one.Breaks();
        Assert.Equal("[one away]", await NextAsync(lines, 1));
        one.Tells("3d", "3e").IsBack();

        Assert.Equal("3d 3e", await LaterAsync(lines, 2));
    }

    [Fact]
    public async Task Of_lines_of_one_time_a_follower_gets_after_a_break_those_that_it_has_not_got()
    {
        Played one = Add("one").Tells("1a", "2b", "2c-");
        await using IAsyncEnumerator<string> lines = Follow();
        Assert.Equal("1a 2b 2c-", await NextAsync(lines, 3));

        one.Breaks();
        Assert.Equal("[one away]", await NextAsync(lines, 1));
        one.Tells("1a", "2b", "2c-", "2d", "2e").IsBack();
        Assert.Equal("2d 2e", await LaterAsync(lines, 2));

        one.Breaks();
        Assert.Equal("[one away]", await NextAsync(lines, 1));
        one.Tells("2b", "2c-", "2d", "2e", "2f", "3g").IsBack();
        Assert.Equal("2f 3g", await LaterAsync(lines, 2));
    }

    [Fact]
    public async Task A_follower_of_the_last_lines_gets_none_of_them_again_after_a_break()
    {
        Played one = Add("one").Tells("1a", "2b", "2c");
        await using IAsyncEnumerator<string> lines = Follow(tail: 1);
        Assert.Equal("2c", await NextAsync(lines, 1));

        one.Breaks();
        Assert.Equal("[one away]", await NextAsync(lines, 1));
        one.Tells("1a", "2b", "2c", "3d").IsBack();

        Assert.Equal("3d", await LaterAsync(lines, 1));
    }

    [Fact]
    public async Task A_follower_gets_lines_of_a_server_that_came_later()
    {
        Add("one").Tells("1a");
        await using IAsyncEnumerator<string> lines = Follow();
        Assert.Equal("1a", await NextAsync(lines, 1));

        Add("two").Tells("2b");

        Assert.Equal("2b", await LaterAsync(lines, 1));
    }

    [Fact]
    public async Task What_servers_tell_each_other_is_read_as_it_was_written()
    {
        RunId a = RunId.New(Begin);
        RunId b = RunId.New(Begin);
        FunctionLogNews[] news =
        [
            new(FunctionLogMark.Busy),
            new(FunctionLogMark.Count, Count: 3),
            Line(a, "one", partial: false, gap: 0),
            Line(b, "a part", partial: true, gap: 77),
            Line(b, "run now lines", partial: false, gap: 0),
            new(FunctionLogMark.Now),
            Line(a, "", partial: false, gap: 0),
        ];
        Pipe pipe = new();
        PeerFunctionLog writer = new();
        foreach (FunctionLogNews one in news)
        {
            writer.Write(pipe.Writer, one);
        }

        await pipe.Writer.CompleteAsync();
        List<string> read = [];
        await foreach (FunctionLogNews one in PeerFunctionLog.ReadAsync(pipe.Reader, e => e, Soon))
        {
            read.Add(Full(one));
        }

        Assert.Equal(news.Select(Full), read);
    }

    private static string Full(FunctionLogNews news) =>
        $"{news.Mark} {news.Count} {(news.Line.Run.IsEmpty ? "" : news.Line.Run.Text)} {news.Line.Line.At:O} "
        + $"{news.Line.Line.Partial} {news.Line.Line.Gap} {Encoding.UTF8.GetString(news.Line.Line.Text.Span)}";

    private static FunctionLogNews Line(RunId run, string text, bool partial, long gap) => new(
        FunctionLogMark.Line,
        new FunctionLogLine(run, new LogLine(Begin, LogStream.Error, Encoding.UTF8.GetBytes(text), partial, gap)));

    private Played Add(string name)
    {
        Played played = new(name);
        servers.Add(played);
        return played;
    }

    private JoinedFunctionLog Log() => new(
        () => [.. servers.Select(s => s.Origin)], _ => Task.FromResult<IReadOnlyList<FunctionLogOrigin>>([]),
        () => isThere, time);

    private async Task<string> ReadAsync(LogQuery query)
    {
        List<string> read = [];
        await foreach (FunctionLogNews news in Log().ReadAsync(query, Soon))
        {
            read.Add(TextOf(news));
        }

        return string.Join(' ', read);
    }

    private IAsyncEnumerator<string> Follow(int? tail = null) => TextsAsync(tail, Soon).GetAsyncEnumerator(Soon);

    private async IAsyncEnumerable<string> TextsAsync(
        int? tail, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (FunctionLogNews news in Log().ReadAsync(new LogQuery(true, tail, null), cancellationToken))
        {
            yield return TextOf(news);
        }
    }

    private static async Task<string> NextAsync(IAsyncEnumerator<string> lines, int count)
    {
        List<string> read = [];
        while (read.Count < count && await lines.MoveNextAsync())
        {
            read.Add(lines.Current);
        }

        return string.Join(' ', read);
    }

    private static string TextOf(FunctionLogNews news) => news.Mark == FunctionLogMark.Missing
        ? $"[{news.Why}]"
        : Encoding.UTF8.GetString(news.Line.Line.Text.Span);

    /// <summary>As <see cref="NextAsync"/>, of what comes once time has moved.</summary>
    private async Task<string> LaterAsync(IAsyncEnumerator<string> lines, int count)
    {
        Task<string> next = NextAsync(lines, count);
        await TimeMovesAsync(next, TimeSpan.FromSeconds(1));
        return await next;
    }

    /// <summary>Lets time pass until something is done.</summary>
    private async Task TimeMovesAsync(Task done, TimeSpan by)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromMinutes(1));
        while (!done.IsCompleted)
        {
            limit.Token.ThrowIfCancellationRequested();
            if (time.Waiting > 0)
            {
                time.Advance(by);
            }

            await Task.Delay(5, limit.Token);
        }
    }

    /// <summary>A server whose lines are named for their second and their writer; <c>-</c> where the line goes on.
    /// </summary>
    private sealed class Played(string name)
    {
        private readonly RunId run = RunId.New(Begin);
        private readonly List<string> past = [];
        private Channel<string?> coming = Channel.CreateUnbounded<string?>();
        private bool isAway;

        public bool IsSilent { get; set; }

        public FunctionLogOrigin Origin => new(
            name, name.Length == 0 ? null : error => $"{name} {(error is TimeoutException ? "silent" : "away")}",
            ReadAsync);

        public Played Tells(params string[] lines)
        {
            past.Clear();
            past.AddRange(lines);
            return this;
        }

        public void Writes(string line) => coming.Writer.TryWrite(line);

        public void Ends() => coming.Writer.TryComplete();

        /// <summary>After what it has told.</summary>
        public void Breaks()
        {
            isAway = true;
            coming.Writer.TryWrite(null);
        }

        public void IsBack()
        {
            coming = Channel.CreateUnbounded<string?>();
            isAway = false;
        }

        private async IAsyncEnumerable<FunctionLogNews> ReadAsync(
            LogQuery query, [EnumeratorCancellation] CancellationToken cancellationToken)
        {
            // Nothing is waited for but the silent one: only its time can pass.
            LogLine[] lines = [.. past.Select(LineOf).Where(l => query.Since is null || l.At >= query.Since)];
            int whole = lines.Count(l => !l.Partial);
            int told = Math.Min(whole, query.Tail ?? whole);
            if (query.Tail is not null)
            {
                yield return new FunctionLogNews(FunctionLogMark.Busy);
                yield return new FunctionLogNews(FunctionLogMark.Count, Count: told);
            }

            int skip = whole - told;
            foreach (LogLine line in lines)
            {
                if (skip == 0)
                {
                    yield return News(line);
                }
                else if (!line.Partial)
                {
                    skip--;
                }
            }

            if (IsSilent)
            {
                await Task.Delay(Timeout.Infinite, cancellationToken);
            }

            if (isAway)
            {
                throw new BerthException(ErrorCode.ServerUnreachable, "It is away.");
            }

            if (!query.Follow)
            {
                yield break;
            }

            yield return new FunctionLogNews(FunctionLogMark.Now);
            await foreach (string? text in coming.Reader.ReadAllAsync(cancellationToken))
            {
                yield return News(LineOf(
                    text ?? throw new BerthException(ErrorCode.ServerUnreachable, "It is away.")));
            }
        }

        private FunctionLogNews News(LogLine line) => new(FunctionLogMark.Line, new FunctionLogLine(run, line));

        private static LogLine LineOf(string text) => new(
            Begin.AddSeconds(text[0] - '0'), LogStream.Error, Encoding.UTF8.GetBytes(text), text.EndsWith('-'), 0);
    }
}
