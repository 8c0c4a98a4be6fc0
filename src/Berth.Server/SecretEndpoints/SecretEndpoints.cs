using System.Globalization;
using System.Security.Cryptography;
using Berth.Api.Secrets;
using Berth.Core.Errors;
using Berth.Core.Secrets;
using Berth.Server.Access;
using Berth.Server.Hosting;
using Berth.Server.Secrets;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.SecretEndpoints;

/// <summary>Secrets: values go in and never out; what there is, and who uses it, can be seen.</summary>
internal sealed class SecretEndpoints(SecretVault vault, SecretUsers users)
{
    private const string Replace = "replace";
    private const string Force = "force";

    public Task ListAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        return JsonBody.WriteAsync(
            context, new SecretList([.. vault.All.Select(View)]), SecretJson.Default.SecretList);
    }

    public Task GetAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        return JsonBody.WriteAsync(context, View(vault.Get(NameOf(context))), SecretJson.Default.SecretView);
    }

    /// <summary>The body is the value, byte for byte.</summary>
    public async Task PutAsync(HttpContext context)
    {
        QueryText query = new(context.Request, Replace);
        string name = SecretName.Check(NameOf(context));
        byte[] buffer = new byte[SecretUse.MaxBytes + 1];
        try
        {
            int length = await context.Request.Body.ReadAtLeastAsync(
                buffer, buffer.Length, throwOnEndOfStream: false, context.RequestAborted);
            if (length is 0 or > SecretUse.MaxBytes)
            {
                throw new BerthException(
                    length == 0 ? ErrorCode.InvalidRequest : ErrorCode.BodyTooLarge,
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"A secret has 1 to {SecretUse.MaxBytes:N0} bytes, and the body has ")
                    + (length == 0 ? "none." : "more."));
            }

            (SecretRecord record, bool isNew) = await vault.PutAsync(
                name, buffer.AsMemory(0, length), query.Switch(Replace), Caller.Of(context).Name,
                context.RequestAborted);
            await JsonBody.WriteAsync(
                context, View(record), SecretJson.Default.SecretView,
                isNew ? StatusCodes.Status201Created : StatusCodes.Status200OK);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(buffer);
        }
    }

    public async Task RemoveAsync(HttpContext context)
    {
        QueryText query = new(context.Request, Force);
        string name = NameOf(context);
        await vault.RemoveAsync(name, () => users.Of(name), query.Switch(Force), context.RequestAborted);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private static string NameOf(HttpContext context) => (string)context.Request.RouteValues["name"]!;

    private SecretView View(SecretRecord record) => new(
        record.Name, record.Version, record.Length, record.CreatedAt, record.UpdatedAt, record.Caller,
        users.Of(record.Name));
}
