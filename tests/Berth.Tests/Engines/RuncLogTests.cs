using Berth.Node.Engines;
using Berth.Testing.Content;
using Xunit;

namespace Berth.Tests.Engines;

/// <summary>What runc says in its log when it fails.</summary>
public sealed class RuncLogTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("{\"level\":\"error\",\"msg\":\"no such user\"}\n", "no such user")]
    [InlineData("{\"msg\":\"first\"}\n{\"msg\":\"second\"}\nnot JSON\n", "second")]
    [InlineData("{\"level\":\"error\",\"msg\":\"cut of", "{\"level\":\"error\",\"msg\":\"cut of")]
    [InlineData("{\"msg\":{}}", "it left an empty log.")]
    [InlineData("", "it left an empty log.")]
    public void The_last_message_is_told_whole_or_not(string log, string told)
    {
        File.WriteAllText(folder["runc.log"], log);

        Assert.Equal(told, Runc.LastError(folder["runc.log"]));
    }
}
