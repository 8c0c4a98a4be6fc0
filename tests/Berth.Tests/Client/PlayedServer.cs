using System.Text;
using System.Threading.Channels;
using Berth.Api.Client;
using Berth.Core.Streams;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Berth.Tests.Client;

/// <summary>A Kestrel on a free port that answers everything with one handler.</summary>
internal sealed class PlayedServer(WebApplication application) : IAsyncDisposable
{
    public static async Task<PlayedServer> StartAsync(RequestDelegate handler)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        WebApplication application = builder.Build();
        application.Run(handler);
        await application.StartAsync(TestContext.Current.CancellationToken);
        return new PlayedServer(application);
    }

    public Uri Address => new(application.Urls.Single());

    public BerthClient Client() => new(Address, "a-token", TimeProvider.System);

    public ValueTask DisposeAsync() => application.DisposeAsync();
}

/// <summary>A stream that gives only what it was handed so far, and waits for more.</summary>
internal sealed class LockStepStream : SequentialStream
{
    private readonly Channel<byte[]> pieces = Channel.CreateUnbounded<byte[]>();

    public override bool CanRead => true;

    public void Give(string text) => pieces.Writer.TryWrite(Encoding.UTF8.GetBytes(text));

    public void End() => pieces.Writer.Complete();

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (!await pieces.Reader.WaitToReadAsync(cancellationToken) || !pieces.Reader.TryRead(out byte[]? piece))
        {
            return 0;
        }

        piece.CopyTo(buffer);
        return piece.Length;
    }
}
