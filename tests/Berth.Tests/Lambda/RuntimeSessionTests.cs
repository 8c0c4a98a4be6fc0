using Berth.Server.Lambda;
using Xunit;

namespace Berth.Tests.Lambda;

/// <summary>The order in which an instance gets, asks for and answers invocations.</summary>
public sealed class RuntimeSessionTests
{
    private readonly RuntimeSession session = new();

    private static CancellationToken Never => CancellationToken.None;

    [Fact]
    public async Task An_invocation_waits_for_the_question_and_the_question_for_an_invocation()
    {
        Invocation first = Make("1");
        Invocation second = Make("2");

        session.Give(first);
        Invocation got = await session.NextAsync(Never);
        session.EndAnswer(session.BeginAnswer("1"));
        Task<Invocation> asking = session.NextAsync(Never);
        session.Give(second);

        Assert.Same(first, got);
        Assert.Same(second, await asking);
        Assert.True(session.Ready.IsCompletedSuccessfully);
    }

    [Fact]
    public async Task What_does_not_fit_is_refused()
    {
        Assert.Equal(400, Assert.Throws<RuntimeRefusal>(() => session.BeginAnswer("1")).Status);
        Task<Invocation> asking = session.NextAsync(Never);
        Assert.Equal(403, (await Assert.ThrowsAsync<RuntimeRefusal>(() => session.NextAsync(Never))).Status);
        session.Give(Make("1"));
        await asking;
        Assert.Equal(403, (await Assert.ThrowsAsync<RuntimeRefusal>(() => session.NextAsync(Never))).Status);
        Assert.Equal(400, Assert.Throws<RuntimeRefusal>(() => session.BeginAnswer("2")).Status);
        session.BeginAnswer("1");
        Assert.Equal(400, Assert.Throws<RuntimeRefusal>(() => session.BeginAnswer("1")).Status);
        Assert.Equal(
            403, Assert.Throws<RuntimeRefusal>(() => session.FailInit(FunctionError.Of("T", "too late"))).Status);
    }

    [Fact]
    public async Task A_question_whose_connection_is_gone_is_no_question()
    {
        using CancellationTokenSource gone = new();
        Task<Invocation> lost = session.NextAsync(gone.Token);
        await gone.CancelAsync();
        Invocation invocation = Make("1");

        session.Give(invocation);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => lost);
        Assert.False(invocation.Delivered.IsCompleted);
        Assert.Same(invocation, await session.NextAsync(Never));
    }

    [Fact]
    public async Task What_was_not_asked_for_can_be_taken_back_and_what_was_can_not()
    {
        Invocation first = Make("1");
        session.Give(first);
        Assert.True(session.TakeBack(first));
        Invocation second = Make("2");
        session.Give(second);
        await session.NextAsync(Never);

        Assert.False(session.TakeBack(second));
    }

    [Fact]
    public async Task The_end_breaks_what_is_under_way_and_what_comes_after()
    {
        Invocation current = Make("1");
        session.Give(current);
        await session.NextAsync(Never);
        Invocation late = Make("2");

        session.Dispose();
        session.Give(late);

        await Assert.ThrowsAsync<IOException>(() => current.Answer);
        await Assert.ThrowsAsync<IOException>(() => late.Answer);
        Assert.True(session.Over.IsCancellationRequested);
    }

    [Fact]
    public async Task A_failed_initialization_is_told_in_its_own_words()
    {
        session.FailInit(FunctionError.Of("", """{"errorMessage":"no module","errorType":"Import"}"""u8.ToArray()));

        Assert.Equal("Import: no module", (await Assert.ThrowsAsync<InitException>(() => session.Ready)).Message);
    }

    [Theory]
    [InlineData("", "Runtime.Unknown")]
    [InlineData("[1]", "Runtime.Unknown")]
    [InlineData("""{"errorType":7}""", "Runtime.Unknown")]
    [InlineData("""{"errorMessage":null,"stackTrace":[]}""", "Runtime.Unknown")]
    [InlineData("""{"errorType":"Own"}""", "Own")]
    public void Whatever_a_program_sends_for_an_error_becomes_one(string document, string type)
    {
        LambdaAnswer.Failed failed = FunctionError.Of("", System.Text.Encoding.UTF8.GetBytes(document));

        Assert.Equal(type, failed.Type);
        Assert.NotEmpty(failed.Message);
        using var read = System.Text.Json.JsonDocument.Parse(failed.Document);
        Assert.Equal(System.Text.Json.JsonValueKind.Object, read.RootElement.ValueKind);
    }

    private static Invocation Make(string id) =>
        new(id, new LambdaEvent("{}"u8.ToArray(), null, "Root=1"), "arn", DateTimeOffset.UnixEpoch);
}
