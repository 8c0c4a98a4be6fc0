using Berth.Core.Errors;
using Berth.Server.Access;
using Berth.Server.Functions;
using Berth.Server.Hosting;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.FunctionEndpoints;

/// <summary>
/// Calls by host name: before any route is looked at, a request for a function's host is that function's, with all of
/// its path. So nothing of the server's own is reached there: neither its interface nor its health.
/// </summary>
internal sealed class HostCalls(
    RequestDelegate next, FunctionManager functions, FunctionCalls calls, AccessGate gate, Action<HttpContext> check)
{
    public Task InvokeAsync(HttpContext context) => functions.Hosts.IsUnused ? next(context) : SwitchAsync(context);

    private Task SwitchAsync(HttpContext context)
    {
        HttpRequest request = context.Request;
        if (functions.Hosts.Find(request.Host, n => functions.Find(n)?.Record) is not { } reference)
        {
            return next(context);
        }

        context.Features.Set(HostedCall.Instance);
        check(context);
        int at = reference.IndexOf('@', StringComparison.Ordinal);
        gate.CheckCall(context, at < 0 ? reference : reference[..at]);
        bool isCall = FunctionCalls.Methods.Contains(request.Method) || HttpMethods.IsHead(request.Method);
        if (!isCall)
        {
            throw new BerthException(
                ErrorCode.MethodNotAllowed,
                $"{Quoted.Of(request.Method)} does not call a function: "
                + $"{string.Join(", ", FunctionCalls.Methods)} do.");
        }

        request.RouteValues["name"] = reference;
        request.RouteValues["path"] = (request.Path.Value ?? "").TrimStart('/');
        return calls.CallAsync(context);
    }
}

/// <summary>Marks a request whose function its host names, so that its whole path is the program's.</summary>
internal sealed class HostedCall
{
    private HostedCall()
    {
    }

    public static HostedCall Instance { get; } = new();

    /// <summary>No route was looked for; that is known sooner.</summary>
    public static bool Is(HttpContext context) =>
        context.GetEndpoint() is null && context.Features.Get<HostedCall>() is not null;
}
