using System.Buffers;
using Berth.Core.Errors;
using Berth.Server.Instances;
using Berth.Server.Loops;
using Berth.Server.Problems;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Primitives;

namespace Berth.Server.Forwarding;

/// <summary>One request and its answer over one connection to an instance.</summary>
internal sealed class Exchange(
    HttpContext context, ForwardRoute route, Instance instance, ServiceConnection connection)
{
    private long sent;

    /// <summary>Whether the program broke off an answer that had begun.</summary>
    public bool IsTorn { get; private set; }

    /// <summary>Whether the connection has become another protocol's.</summary>
    public bool HasSwitched { get; private set; }

    /// <returns>False when nothing came of it, and it can be tried again over another connection: the program had
    /// closed this one, and nothing of the body was taken from the caller.</returns>
    /// <exception cref="BerthException">Why there is no answer.</exception>
    public async Task<bool> RunAsync(bool hasBody, bool upgrades, CancellationToken cancellationToken)
    {
        bool reusable = false;
        RequestSending? sending = null;
        // A connection that is closed ends reads and writes at once, which costs less than a token for each.
        CancellationTokenRegistration closing = cancellationToken.UnsafeRegister(
            static state => ((ServiceConnection)state!).Dispose(), connection);
        try
        {
            RequestHead.Write(connection.NewHead(), context, route, hasBody, upgrades);
            sending = RequestSending.Begin(connection, context.Request, hasBody);
            AnswerHead answer = await connection.ReadHeadAsync(context.Request.Method, upgrades);
            answer.CopyTo(context.Response);
            if (answer.Status == StatusCodes.Status101SwitchingProtocols)
            {
                await SwitchAsync(answer);
                return true;
            }

            ExtendedConnect.RequireRefusal(context, answer);
            await CopyAsync(answer);
            reusable = answer.KeepsConnection && connection.IsAtEnd && sending.Completion.IsCompletedSuccessfully
                && await sending.Completion;
            return true;
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (connection is { IsUsed: true, HasAnswered: false } && sending is not null)
            {
                // Until then it may take more from the caller.
                connection.Dispose();
                await sending.StopAsync();
                if (sending is { HasTaken: false, Fault: null })
                {
                    return false;
                }
            }

            await FailAsync(error, sending);
            return true;
        }
        finally
        {
            // Before the connection may be another call's.
            await closing.DisposeAsync();
            await EndAsync(sending, reusable);
        }
    }

    /// <summary>Without its end nobody takes the torn answer for a whole one.</summary>
    public static void CutOff(HttpContext context) => context.Abort();

    private async Task CopyAsync(AnswerHead answer)
    {
        while (true)
        {
            int fields = answer.Fields.Count;
            ValueTask<ReadOnlyMemory<byte>> reading = connection.ReadAsync(answer);
            if (!reading.IsCompleted && !context.Response.HasStarted)
            {
                // Many programs write head and body one after the other: what follows at once goes out with the head.
                if (EventLoop.Current is { } loop)
                {
                    await loop.NextTurn();
                }

                // Where the body comes later, the headers are wanted now.
                if (!reading.IsCompleted)
                {
                    await context.Response.BodyWriter.FlushAsync();
                }
            }

            ReadOnlyMemory<byte> part = await reading;
            if (part.IsEmpty)
            {
                CopyTrailers(answer, fields);
                return;
            }

            await context.Response.BodyWriter.WriteAsync(part);
            sent += part.Length;
        }
    }

    private void CopyTrailers(AnswerHead answer, int fields)
    {
        if (answer.Fields.Count > fields && context.Response.SupportsTrailers())
        {
            foreach ((string name, string value) in answer.Fields.Skip(fields))
            {
                if (ForwardedFields.IsAnswerField(name, StringValues.Empty))
                {
                    context.Response.AppendTrailer(name, value);
                }
            }
        }
    }

    /// <summary>The connection is the two's own from here on.</summary>
    private async Task SwitchAsync(AnswerHead answer)
    {
        await using Stream caller = await AcceptAsync(answer);
        HasSwitched = true;
        using CancellationTokenSource over = new();
        Task there = PassAsync(caller, over.Token);
        Task here = ReturnAsync(caller, over.Token);
        // Neither Kestrel nor most protocols know half an end: when one side has ended, so has the other.
        await Task.WhenAny(there, here);
        await over.CancelAsync();
        connection.Dispose();
        await Task.WhenAll(there, here);
    }

    private async Task<Stream> AcceptAsync(AnswerHead answer)
    {
        if (ExtendedConnect.Of(context) is { } connect)
        {
            ExtendedConnect.Settle(context, answer);
            return await connect.AcceptAsync();
        }

        context.Response.Headers.Upgrade = answer.Upgrade;
        return await context.Features.GetRequiredFeature<IHttpUpgradeFeature>().UpgradeAsync();
    }

    private async Task PassAsync(Stream caller, CancellationToken over)
    {
        byte[] block = ArrayPool<byte>.Shared.Rent(16 * 1024);
        try
        {
            int count;
            while ((count = await caller.ReadAsync(block, over)) > 0)
            {
                await connection.WriteAsync(block.AsMemory(0, count));
            }
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // That is the end of it.
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }
    }

    private async Task ReturnAsync(Stream caller, CancellationToken over)
    {
        try
        {
            ReadOnlyMemory<byte> part;
            while (!(part = await connection.ReadRawAsync()).IsEmpty)
            {
                await caller.WriteAsync(part, over);
                await caller.FlushAsync(over);
                sent += part.Length;
            }
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // That is the end of it.
        }
    }

    private async Task FailAsync(Exception error, RequestSending? sending)
    {
        if (context.Response.HasStarted)
        {
            IsTorn = sending?.Fault is null;
            CutOff(context);
            return;
        }

        context.Response.Clear();
        throw sending?.Fault is { } fault ? Blame(fault) : await instance.ExplainAsync(route.Pool.Name, error);
    }

    /// <summary>Something of the caller's own.</summary>
    private static BerthException Blame(Exception fault) => fault switch
    {
        BerthException refusal => refusal,
        BadHttpRequestException malformed => ProblemWriter.Translate(malformed),
        _ => new BerthException(ErrorCode.InvalidRequest, $"The body broke off: {fault.Message}", fault),
    };

    /// <summary>Afterwards nothing touches the request any more.</summary>
    private async Task EndAsync(RequestSending? sending, bool reusable)
    {
        if (reusable)
        {
            instance.Connections.GiveBack(connection);
        }
        else
        {
            connection.Dispose();
        }

        if (sending is { Completion.IsCompleted: false })
        {
            await sending.StopAsync();
        }

        sending?.Dispose();
        instance.Live.Count(sending?.Bytes ?? 0, sent);
    }
}
