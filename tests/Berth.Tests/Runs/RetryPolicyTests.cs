using Berth.Core.Runs;
using Berth.Testing.Runs;
using Xunit;

namespace Berth.Tests.Runs;

/// <summary>Whether another attempt follows and when.</summary>
public sealed class RetryPolicyTests
{
    private static readonly DateTimeOffset Now = new(2026, 11, 22, 3, 0, 0, TimeSpan.Zero);

    [Fact]
    public void A_delay_is_anywhere_in_a_window_that_doubles_up_to_its_limit_and_what_was_told_comes_on_top()
    {
        Random random = new(1);
        for (int round = 0; round < 20_000; round++)
        {
            TimeSpan first = TimeSpan.FromMilliseconds(random.Next(1, 60_000));
            RetryPolicy policy = new(random.Next(1, 101), random.Next(2) == 0)
            {
                BaseDelay = first,
                MaxDelay = first + TimeSpan.FromMilliseconds(random.Next(0, 3_000_000)),
            };
            int attempt = random.Next(1, 120);
            TimeSpan told = random.Next(3) == 0 ? TimeSpan.Zero : TimeSpan.FromSeconds(random.Next(0, 9_000));
            RunEnd end = RunBuilder.End(EndReason.PlatformFault) with
            {
                RetryAfter = told == TimeSpan.Zero ? null : told,
            };
            double point = random.NextDouble();

            TimeSpan? delay = policy.NextDelay(attempt, end, point);

            Assert.Equal(attempt < policy.MaxAttempts, delay is not null);
            if (delay is { } wait)
            {
                TimeSpan floor = told < RetryPolicy.LongestDelay ? told : RetryPolicy.LongestDelay;
                double window = Math.Min(
                    policy.MaxDelay.TotalSeconds, policy.BaseDelay.TotalSeconds * Math.Pow(2, attempt - 1));
                Assert.InRange((wait - floor).TotalSeconds, 0, window);
                Assert.InRange(wait, TimeSpan.Zero, RetryPolicy.LongestDelay * 2);
                Assert.Equal(floor, policy.NextDelay(attempt, end, 0));
                Assert.True(policy.NextDelay(attempt, end, point / 2) <= wait, "Less of the window is no longer wait.");
            }
        }
    }

    [Fact]
    public void Delays_fill_their_window_evenly()
    {
        Random random = new(2);
        RunEnd end = RunBuilder.End(EndReason.PlatformFault);

        int[] tenths = new int[10];
        for (int i = 0; i < 100_000; i++)
        {
            TimeSpan delay = RetryPolicy.Default.NextDelay(3, end, random.NextDouble())!.Value;
            tenths[(int)(delay.TotalMilliseconds / 80)]++;
        }

        Assert.All(tenths, count => Assert.InRange(count, 9_500, 10_500));
    }

    [Theory]
    [InlineData(EndReason.PlatformFault, 0, true)]
    [InlineData(EndReason.NoAnswer, 0, true)]
    [InlineData(EndReason.BadStatus, 500, true)]
    [InlineData(EndReason.BadStatus, 599, true)]
    [InlineData(EndReason.BadStatus, 429, true)]
    [InlineData(EndReason.BadStatus, 425, true)]
    [InlineData(EndReason.BadStatus, 408, true)]
    [InlineData(EndReason.BadStatus, 400, false)]
    [InlineData(EndReason.BadStatus, 499, false)]
    [InlineData(EndReason.TimedOut, 0, false)]
    [InlineData(EndReason.ExitCode, 0, false)]
    [InlineData(EndReason.NotRunnable, 0, false)]
    [InlineData(EndReason.Canceled, 0, false)]
    public void Unless_asked_only_what_may_pass_by_itself_is_tried_again(EndReason reason, int status, bool again) =>
        Assert.Equal(again, RetryPolicy.Default.Retries(EndOf(reason, status)));

    [Theory]
    [InlineData("exit", EndReason.ExitCode, 3, true)]
    [InlineData("exit=75,signal", EndReason.ExitCode, 75, true)]
    [InlineData("exit=75,signal", EndReason.ExitCode, 7, false)]
    [InlineData("exit=75,signal", EndReason.Signal, 0, true)]
    [InlineData("memory", EndReason.OutOfMemory, 0, true)]
    [InlineData("memory", EndReason.TimedOut, 0, false)]
    [InlineData("timeout", EndReason.TimedOut, 0, true)]
    [InlineData("none", EndReason.ExitCode, 1, false)]
    [InlineData("none", EndReason.PlatformFault, 0, true)]
    public void Ends_of_programs_are_named(string text, EndReason reason, int code, bool again)
    {
        Assert.True(RetryRules.TryParse(text, service: false, out RetryRules? rules));

        RetryPolicy policy = RetryPolicy.Default with { On = rules };

        Assert.Equal(again, policy.Retries(EndOf(reason, 0) with { ExitCode = code == 0 ? null : code }));
        Assert.False(policy.Retries(EndOf(EndReason.Canceled, 0)));
    }

    [Theory]
    [InlineData("5xx", 503, true)]
    [InlineData("5xx", 404, false)]
    [InlineData("4xx", 404, true)]
    [InlineData("404,409", 409, true)]
    [InlineData("404,409", 410, false)]
    [InlineData("none", 500, false)]
    [InlineData("no-answer", 500, false)]
    public void Answers_are_named_by_status(string text, int status, bool again)
    {
        Assert.True(RetryRules.TryParse(text, service: true, out RetryRules? rules));

        Assert.Equal(
            again, (RetryPolicy.Default with { On = rules }).Retries(EndOf(EndReason.BadStatus, status)));
    }

    [Theory]
    [InlineData("", true)]
    [InlineData("", false)]
    [InlineData("exit", true)]
    [InlineData("5xx", false)]
    [InlineData("399", true)]
    [InlineData("600", true)]
    [InlineData("3xx", true)]
    [InlineData("xx", true)]
    [InlineData("exit=0", false)]
    [InlineData("exit=256", false)]
    [InlineData("exit=", false)]
    [InlineData("none,exit", false)]
    [InlineData("exit,,signal", false)]
    public void Words_that_say_nothing_here_are_refused(string text, bool service) =>
        Assert.False(RetryRules.TryParse(text, service, out _));

    [Fact]
    public void The_same_words_are_the_same_rules_in_any_order()
    {
        Assert.True(RetryRules.TryParse("signal, exit=75,signal", service: false, out RetryRules? one));
        Assert.True(RetryRules.TryParse("exit=75,signal", service: false, out RetryRules? other));

        Assert.Equal(one, other);
        Assert.Equal(other, RetryRules.Restore(other.Text));
    }

    [Theory]
    [InlineData("7", 7.0)]
    [InlineData(" 0 ", 0.0)]
    [InlineData("Sun, 22 Nov 2026 03:00:30 GMT", 30.0)]
    [InlineData("Sun, 22 Nov 2026 02:00:00 GMT", 0.0)]
    [InlineData("Fri, 22 Nov 2030 02:00:00 GMT", 3600.0)]
    [InlineData("99999999999999999999999", 3600.0)]
    [InlineData("-1", null)]
    [InlineData("soon", null)]
    [InlineData("", null)]
    [InlineData(null, null)]
    public void A_wait_is_asked_for_in_seconds_or_by_date(string? text, double? seconds) =>
        Assert.Equal(seconds, RetryAfter.Read(text, Now)?.TotalSeconds);

    private static RunEnd EndOf(EndReason reason, int status) => RunBuilder.End(reason) with
    {
        Answer = status == 0 ? null : new ServiceAnswer(status, null),
    };
}
